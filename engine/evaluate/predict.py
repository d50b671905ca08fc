"""The model's own answers to the questions of a dataset, batched. Scores nothing (score.py does).

A row is split where its last learned answer begins: what stands before it is the prompt, just as in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from engine.evaluate.loss import IGNORED
from engine.infer.engine import Sampling
from engine.infer.transformers_backend import build_generation_config, context_length


@dataclass(frozen=True)
class Question:
    """A prompt and the answer the dataset gives, as ids (the stop token included)."""

    prompt_ids: list[int]
    label_ids: list[int]


@dataclass(frozen=True)
class Prediction:
    """One line of generated_predictions.jsonl."""

    prompt: str
    predict: str
    label: str


def find_question(row: dict[str, Any]) -> Question | None:
    """The row's last learned answer and what stands before it; None when it has none (it was cut off)."""
    labels = row["labels"]
    end = len(labels)
    while end and labels[end - 1] == IGNORED:
        end -= 1
    begin = end
    while begin and labels[begin - 1] != IGNORED:
        begin -= 1
    if begin == end or begin == 0:
        return None
    return Question(list(row["input_ids"][:begin]), list(row["input_ids"][begin:end]))


def predict(
    model: Any,
    tokenizer: Any,
    questions: Iterable[Question],
    *,
    batch_size: int,
    sampling: Sampling,
    stop_ids: Sequence[int],
    should_stop: Callable[[], bool],
) -> Iterator[list[Prediction]]:
    """Answers batch by batch, in order. Ends early, dropping the batch in hand, once `should_stop()` is true.

    Questions that leave no room for an answer in the model's context get an empty one.
    """
    batch: list[Question] = []
    for question in questions:
        batch.append(question)
        if len(batch) == batch_size:
            yield from _answer(model, tokenizer, batch, sampling, stop_ids, should_stop)
            batch = []
        if should_stop():
            return
    if batch:
        yield from _answer(model, tokenizer, batch, sampling, stop_ids, should_stop)


class _Asked(StoppingCriteria):
    """Ends `generate` after the token in hand once a stop was asked for."""

    def __init__(self, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full(
            (input_ids.shape[0],), self._should_stop(), dtype=torch.bool, device=input_ids.device
        )


def _answer(
    model: Any,
    tokenizer: Any,
    batch: list[Question],
    sampling: Sampling,
    stop_ids: Sequence[int],
    should_stop: Callable[[], bool],
) -> Iterator[list[Prediction]]:
    padding = tokenizer.pad_token_id
    width = max(len(question.prompt_ids) for question in batch)
    room = context_length(model) - width
    answers: list[list[int]] = [[] for _ in batch]
    if room > 0:
        ids_BL = torch.full((len(batch), width), padding)
        mask_BL = torch.zeros_like(ids_BL)
        for index, question in enumerate(
            batch
        ):  # on the left, so that every prompt ends where its answer begins
            ids_BL[index, width - len(question.prompt_ids) :] = torch.tensor(question.prompt_ids)
            mask_BL[index, width - len(question.prompt_ids) :] = 1
        config = build_generation_config(
            sampling,
            max_new_tokens=min(sampling.max_new_tokens, room),
            stop_ids=stop_ids,
            pad_token_id=padding,
        )
        with torch.inference_mode():
            out_BL = model.generate(
                input_ids=ids_BL.to(model.device),
                attention_mask=mask_BL.to(model.device),
                generation_config=config,
                stopping_criteria=StoppingCriteriaList([_Asked(should_stop)]),
            )
        answers = out_BL[:, width:].tolist()
    if should_stop():
        return

    def text(ids: list[int], skip: bool) -> str:
        decoded: str = tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
        return decoded

    yield [
        Prediction(
            prompt=text(question.prompt_ids, False),
            predict=text(_until_stop(answer, stop_ids), sampling.skip_special_tokens),
            label=text(_until_stop(question.label_ids, stop_ids), sampling.skip_special_tokens),
        )
        for question, answer in zip(batch, answers, strict=True)
    ]


def _until_stop(ids: list[int], stop_ids: Sequence[int]) -> list[int]:
    ends = [ids.index(stop) for stop in stop_ids if stop in ids]
    return ids[: min(ends)] if ends else ids
