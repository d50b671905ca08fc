"""The built-in backend: a transformers model in this process, one answer at a time. No HTTP here.

`generate` runs on a worker thread and hands ids over one by one; the reader turns them into text. So an
answer can be cancelled at any token, and whoever reads may be a terminal, a server or a test.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from engine.errors import UserError
from engine.infer.engine import Message, PromptTooLong, Sampling
from engine.infer.text import Detokenizer, StopText
from engine.templates.chat import load_chat


class TransformersEngine:
    """Fills engine.infer.engine.Engine. `model` and `template` are the argument groups of those names."""

    def __init__(self, model: Any, template: Any, *, use_cpu: bool = False) -> None:
        self._model_args, self._template, self._use_cpu = model, template, use_cpu
        self._current: TransformersGeneration | None = None
        self.model: Any = None
        self.tokenizer: Any = None
        self.chat: Any = None
        self.stop_ids: tuple[int, ...] = ()

    def load(self) -> None:
        from engine.models.load import load_for_inference

        self.use(*load_for_inference(self._model_args, device="cpu" if self._use_cpu else None))

    def use(self, model: Any, tokenizer: Any) -> None:
        """Answer with this model; what `load` ends with."""
        self.chat = load_chat(tokenizer, self._template)
        for note in self.chat.notes:
            print(note, file=sys.stderr, flush=True)
        self.stop_ids = find_stop_ids(model, self.chat)
        self.model, self.tokenizer = prepare_for_generation(model), tokenizer

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> TransformersGeneration:
        ids = self.chat.prompt_ids([dict(message) for message in messages])
        room = context_length(self.model) - len(ids)
        if room < 1:
            raise PromptTooLong(
                f"the conversation is {len(ids)} tokens long and this model reads at most "
                f"{context_length(self.model)}; shorten it or start a new one"
            )
        config = build_generation_config(
            sampling,
            max_new_tokens=min(sampling.max_new_tokens, room),
            stop_ids=self.stop_ids,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        sampling = sampling.with_changes(stop=(*sampling.stop, *stop_texts(self.chat)))
        self._current = TransformersGeneration(
            self.model, self.tokenizer, ids, sampling=sampling, config=config
        )
        return self._current

    def stop(self) -> None:
        if self._current is not None:
            self._current.cancel()


class _Cancelled(StoppingCriteria):
    """Ends `generate` after the token in hand, once the event is set."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full(
            (input_ids.shape[0],), self._event.is_set(), dtype=torch.bool, device=input_ids.device
        )


class TransformersGeneration:
    """Fills engine.infer.engine.Generation. The worker starts with the first read and is gone when reading
    ends.

    It is itself the streamer that `generate` feeds (`put`, `end`).
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        prompt_ids: list[int],
        *,
        sampling: Sampling,
        config: GenerationConfig,
    ) -> None:
        self._model, self._prompt_ids, self._sampling, self._config = model, prompt_ids, sampling, config
        self._detokenizer = Detokenizer(tokenizer, skip_special_tokens=sampling.skip_special_tokens)
        self._stop_text = StopText(sampling.stop)
        self._cancelled = threading.Event()
        self._arrived: queue.SimpleQueue[int | Exception | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._prompt_seen = False
        self.prompt_tokens = len(prompt_ids)
        self.completion_tokens = 0
        self.finish_reason = "length"

    def __iter__(self) -> Iterator[str]:
        assert self._thread is None, "an answer is read once"
        self._thread = threading.Thread(target=self._generate, name="generate", daemon=True)
        self._thread.start()
        try:
            yield from self._read()
        finally:
            self.close()

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        self.cancel()
        if self._thread is not None:
            self._thread.join()

    # -- the reader's side

    def _read(self) -> Iterator[str]:
        stop_ids = set(self._config.eos_token_id or ())
        while (arrived := self._arrived.get()) is not None:
            if isinstance(arrived, Exception):
                raise arrived
            self.completion_tokens += 1
            if arrived in stop_ids:
                self.finish_reason = "stop"
                if self._sampling.skip_special_tokens:
                    continue
            if text := self._stop_text.push(self._detokenizer.push(arrived)):
                yield text
            if self._stop_text.found:
                self.finish_reason = "stop"
                return
        if self._cancelled.is_set() and self.finish_reason != "stop":
            self.finish_reason = "cancelled"
        if text := self._stop_text.push(self._detokenizer.flush()) + self._stop_text.flush():
            yield text

    # -- the worker's side

    def put(self, value: torch.Tensor) -> None:
        ids = value.reshape(-1).tolist()
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token_id in ids:
            self._arrived.put(token_id)

    def end(self) -> None:
        """The queue is closed by the worker itself, also when generation raises."""

    def _generate(self) -> None:
        streams = self._config.num_beams == 1  # beams change their mind, so there is nothing to stream
        try:
            if self._sampling.seed is not None:
                torch.manual_seed(self._sampling.seed)
            prompt_1L = torch.tensor([self._prompt_ids], device=self._model.device)
            with torch.inference_mode():
                out_1L = self._model.generate(
                    input_ids=prompt_1L,
                    attention_mask=torch.ones_like(prompt_1L),
                    generation_config=self._config,
                    stopping_criteria=StoppingCriteriaList([_Cancelled(self._cancelled)]),
                    streamer=self if streams else None,
                )
            if not streams:
                for token_id in out_1L[0, len(self._prompt_ids) :].tolist():
                    self._arrived.put(token_id)
        except Exception as error:  # noqa: BLE001  raised again where the answer is read
            self._arrived.put(error)
        finally:
            self._arrived.put(None)


def build_generation_config(
    sampling: Sampling, *, max_new_tokens: int, stop_ids: Sequence[int], pad_token_id: int
) -> GenerationConfig:
    """transformers' form of `sampling`; nothing else of it may be left to a model's own defaults."""
    values: dict[str, Any] = {
        "max_new_tokens": max_new_tokens,
        "num_beams": sampling.num_beams,
        "repetition_penalty": sampling.repetition_penalty,
        "eos_token_id": list(stop_ids),
        "pad_token_id": pad_token_id,
        "use_cache": True,
        "do_sample": not sampling.greedy,
    }
    if sampling.num_beams > 1:
        values["length_penalty"] = sampling.length_penalty
    if not sampling.greedy:
        values |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    return GenerationConfig(**values)


def prepare_for_generation(model: Any) -> Any:
    """Evaluation mode, and no generation defaults of its own: `generate` would fill gaps from them in
    silence.
    """
    model.eval()
    model.generation_config = GenerationConfig()
    return model


def find_stop_ids(model: Any, chat: Any) -> tuple[int, ...]:
    """Every id that ends a turn: the chat template's, the tokenizer's and those the model ships with.

    Call it before prepare_for_generation. Raises UserError when there is none: answers would never end.
    """
    shipped = getattr(model.generation_config, "eos_token_id", None)
    found = [*chat.stop_token_ids(), *(shipped if isinstance(shipped, list) else [shipped])]
    ids = tuple(dict.fromkeys(token_id for token_id in found if token_id is not None))
    if not ids:
        raise UserError("neither the tokenizer nor the chat template has a token that ends an answer")
    return ids


def stop_texts(chat: Any) -> tuple[str, ...]:
    """Stops of the template that are not one token of the tokenizer, so that the text has to be watched for
    them.
    """
    vocabulary = chat.tokenizer.get_vocab()
    return tuple(text for text in chat.stop_strings() if text not in vocabulary)


def context_length(model: Any) -> int:
    """Tokens the model reads at most (prompt and answer together)."""
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None) or 1 << 20
