"""The built-in backend on a random two-layer model: the same tokens as `generate`, and it stops when told."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from engine.errors import UserError
from engine.infer.engine import PromptTooLong, Sampling
from engine.infer.transformers_backend import TransformersEngine
from engine.schema.data import TemplateArgs
from engine.schema.model import ModelArgs

ASK = [{"role": "user", "content": "你好"}]
GREEDY = Sampling(do_sample=False, max_new_tokens=12)


@pytest.fixture(scope="module")
def engine(tiny_random: Path) -> TransformersEngine:
    made = TransformersEngine(ModelArgs(model_name_or_path=str(tiny_random)), TemplateArgs(), use_cpu=True)
    made.load()
    return made


def greedy_ids(engine: TransformersEngine, count: int) -> list[int]:
    """What the model says next, by plain forward passes."""
    ids = engine.chat.prompt_ids(ASK)
    for _ in range(count):
        with torch.inference_mode():
            logits = engine.model(input_ids=torch.tensor([ids]), use_cache=False).logits
        ids = [*ids, int(logits[0, -1].argmax())]
    return ids[len(engine.chat.prompt_ids(ASK)) :]


def test_the_streamed_answer_is_the_models_greedy_answer(engine: TransformersEngine) -> None:
    generation = engine.stream(ASK, GREEDY)
    text = "".join(generation)
    expected = engine.tokenizer.decode(greedy_ids(engine, 12), skip_special_tokens=True)
    assert text == expected.rstrip("\ufffd")
    assert (generation.prompt_tokens, generation.completion_tokens) == (len(engine.chat.prompt_ids(ASK)), 12)
    assert generation.finish_reason == "length"


def test_the_prompt_is_the_chat_templates(engine: TransformersEngine) -> None:
    theirs = engine.tokenizer.apply_chat_template(
        ASK, tokenize=True, add_generation_prompt=True, return_dict=False
    )
    assert engine.stream(ASK, GREEDY).prompt_tokens == len(theirs)
    assert engine.chat.prompt_ids(ASK) == theirs


def test_a_stop_token_ends_the_answer_and_is_not_shown(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = greedy_ids(engine, 4)
    monkeypatch.setattr(engine, "stop_ids", (ids[3],))
    generation = engine.stream(ASK, GREEDY)
    text = "".join(generation)
    first = ids.index(ids[3])
    assert text == engine.tokenizer.decode(ids[:first]).rstrip("\ufffd")
    assert generation.finish_reason == "stop"
    assert generation.completion_tokens == first + 1


def test_the_end_token_of_the_template_is_a_stop(engine: TransformersEngine) -> None:
    assert engine.tokenizer.convert_tokens_to_ids("<|im_end|>") in engine.stop_ids


def test_cancel_ends_the_answer_at_the_next_token_and_its_thread(engine: TransformersEngine) -> None:
    generation = engine.stream(ASK, GREEDY.with_changes(max_new_tokens=900))
    reading = iter(generation)
    next(reading)
    engine.stop()
    rest = list(reading)
    assert generation.finish_reason == "cancelled"
    assert generation.completion_tokens < 900, rest
    assert not [thread for thread in threading.enumerate() if thread.name == "generate"]


def test_abandoning_the_iteration_ends_the_generation(engine: TransformersEngine) -> None:
    for _ in engine.stream(ASK, GREEDY.with_changes(max_new_tokens=900)):
        break
    assert not [thread for thread in threading.enumerate() if thread.name == "generate"]


def test_a_seed_makes_sampling_repeatable(engine: TransformersEngine) -> None:
    sampling = Sampling(temperature=1.5, top_p=1.0, top_k=0, max_new_tokens=16)
    first, second, other = (
        "".join(engine.stream(ASK, sampling.with_changes(seed=seed))) for seed in (1, 1, 2)
    )
    assert first == second != other


def test_temperature_zero_is_greedy(engine: TransformersEngine) -> None:
    zero = Sampling(do_sample=True, temperature=0, max_new_tokens=12)
    assert "".join(engine.stream(ASK, zero)) == "".join(engine.stream(ASK, GREEDY))


def test_beams_answer_in_one_piece(engine: TransformersEngine) -> None:
    generation = engine.stream(ASK, GREEDY.with_changes(num_beams=2))
    "".join(generation)
    assert generation.completion_tokens == 12


def test_a_stop_string_ends_the_answer(engine: TransformersEngine) -> None:
    whole = "".join(engine.stream(ASK, GREEDY))
    stop = whole[2:4]
    generation = engine.stream(ASK, GREEDY.with_changes(stop=(stop,)))
    assert "".join(generation) == whole[: whole.index(stop)]
    assert generation.finish_reason == "stop"


def test_a_conversation_longer_than_the_context_is_refused(engine: TransformersEngine) -> None:
    with pytest.raises(PromptTooLong, match=r"at most 1024"):
        engine.stream([{"role": "user", "content": "x" * 2000}], GREEDY)


def test_an_answer_never_runs_past_the_context(engine: TransformersEngine) -> None:
    ids = len(engine.chat.prompt_ids([{"role": "user", "content": ""}]))
    question = [{"role": "user", "content": "x" * (1024 - ids - 5)}]
    generation = engine.stream(question, GREEDY.with_changes(max_new_tokens=50))
    "".join(generation)
    assert generation.prompt_tokens + generation.completion_tokens <= 1024
    assert generation.completion_tokens == 5


def test_a_failure_inside_generation_reaches_the_reader(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine.model, "generate", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(engine.stream(ASK, GREEDY))


def test_a_model_that_is_not_there_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model_name_or_path"):
        TransformersEngine(ModelArgs(model_name_or_path=str(tmp_path / "no")), TemplateArgs()).load()
