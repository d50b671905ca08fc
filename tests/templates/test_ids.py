"""Named formats as tokens: for every family of template_examples.json and every case, the ids are those of
each prompt and each answer on its own, and the labels decode to exactly the assistant's text plus its stop.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken

from engine.data.tokens.tokenize import encode
from engine.schema.data import TemplateArgs
from engine.templates.base import Conversation, Format, Rendered, load_template
from engine.templates.chat import load_chat
from tests.data.support import build_tokenizer
from tests.templates.tool_cases import TOOL

EXAMPLES = json.loads((Path(__file__).parent / "template_examples.json").read_text(encoding="utf-8"))
CASES = [(name, case) for name, cases in EXAMPLES.items() for case in cases if "oneturn" not in case]
ONE_TURN = [(name, case) for name, cases in EXAMPLES.items() for case in cases if "oneturn" in case]
REASON = re.compile(r"reason\.(?:oneturn\.)?(cot|nocot)\.thinking=(\w+)(?:\.discard_history=(\w+))?")
# How control tokens look in the texts of formats; the others are words of the vocabulary.
CONTROL = re.compile(
    r"<[|｜][^|｜<>]+[|｜]>|\[/?(?:INST|gMASK|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\]|<sop>"
)
CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris", "days": 2}}}
DATE = re.compile(r"Today Date: \d\d \w\w\w \d{4}\n")


@functools.cache
def tokenizer_of(name: str) -> Any:
    """A byte-level tokenizer that has what the format asks for: begin and end, stops, tokens; the words of
    thoughts and calls are added tokens that no one skips.
    """
    form = load_template(name)
    tokenizer = build_tokenizer(None, bos="<BOS>", eos="<EOS>")
    pieces = [form.prefix, form.system, form.user, form.assistant, form.observation, form.function]
    tokens = {
        piece.get("token", "")
        for part in pieces
        for piece in part
        if not isinstance(piece, str) and piece.get("token")
    }
    tokens |= set(form.stop_words)
    tokens |= {
        match
        for part in pieces
        for piece in part
        if isinstance(piece, str)
        for match in CONTROL.findall(piece)
    }
    words = {word.strip() for word in (*form.thought_words, *form.tool_call_words)} - tokens - {""}
    tokenizer.add_tokens(
        [AddedToken(token, special=True, normalized=False) for token in sorted(tokens)], special_tokens=True
    )
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in sorted(words)])
    return tokenizer


def conversation_of(form: Format, case: str) -> tuple[Conversation, TemplateArgs]:
    """The input of a case, in the shape data comes in, and the arguments it was rendered with."""
    args = TemplateArgs(template=form.name)
    system = {"role": "system", "content": "SYS-PROMPT"}
    user, answer = {"role": "user", "content": "U1"}, {"role": "assistant", "content": "A1"}
    last = {"role": "assistant", "content": "A2"}
    if case == "system":
        return Conversation((system, user, answer)), args
    if case == "tools":
        call = {"role": "assistant", "content": "", "tool_calls": [CALL]}
        return Conversation(
            (system, user, call, {"role": "tool", "content": '{"t": 20}'}, last), (TOOL,)
        ), args
    if match := REASON.fullmatch(case):
        kind, thinking, _ = match.groups()
        args = TemplateArgs(
            template=form.name,
            enable_thinking={"True": True, "False": False, "None": None}[thinking],
        )
        if kind == "cot":
            opening, closing = form.thought_words
            answer = {"role": "assistant", "content": f"{opening}T1{closing}A1"}
            last = {"role": "assistant", "content": f"{opening}T2{closing}A2"}
    return Conversation((user, answer, {"role": "user", "content": "U2"}, last)), args


def expected_pairs(form: Format, case: str, today: str) -> list[tuple[str, str]]:
    pairs = [(DATE.sub(today, prompt), answer) for prompt, answer in EXAMPLES[form.name][case]]
    if form.eos_only_at_end:
        # The end token of the whole conversation is not part of the examples' turns.
        pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}<EOS>")
    return pairs


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case}" for name, case in CASES])
def test_ids_and_labels(name: str, case: str) -> None:
    form, tokenizer = load_template(name), tokenizer_of(name)
    conversation, args = conversation_of(form, case)
    history_is_read = case.endswith("discard_history=True")
    (rendered,) = load_chat(tokenizer, args, mask_history=history_is_read).render([conversation])
    assert isinstance(rendered, Rendered), rendered
    batch = encode([rendered], tokenizer, cutoff_len=100_000, mask_history=False, train_on_prompt=False)
    ids, labels = batch.row(0)
    today = DATE.search(rendered.text)
    expected_ids: list[int] = []
    expected_labels: list[int] = []
    for prompt, answer in expected_pairs(form, case, today.group() if today else ""):
        asked = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        # The line break behind a stop opens the next turn: nobody generates it. Falcon's is the stop itself.
        learnt = answer.rstrip("\n") if name != "falcon" else answer
        said = tokenizer(learnt, add_special_tokens=False)["input_ids"]
        rest = tokenizer(answer[len(learnt) :], add_special_tokens=False)["input_ids"]
        assert said + rest == tokenizer(answer, add_special_tokens=False)["input_ids"]
        expected_ids += asked + said + rest
        expected_labels += [-100] * len(asked) + said + [-100] * len(rest)
        assert tokenizer.decode(said, clean_up_tokenization_spaces=False) == learnt
    assert ids == expected_ids
    assert labels == expected_labels
    assert not batch.guarded[0]


@pytest.mark.parametrize(("name", "case"), ONE_TURN, ids=[f"{name}-{case}" for name, case in ONE_TURN])
def test_ids_of_the_last_answers_prompt(name: str, case: str) -> None:
    """What a model is asked, and in training what stands before the last answer."""
    tokenizer = tokenizer_of(name)
    conversation, args = conversation_of(load_template(name), case)
    prompt, answer = EXAMPLES[name][case]
    chat = load_chat(tokenizer, args, mask_history=True)
    asked = chat.prompt_ids(conversation.messages[:-1])
    if case.endswith("oneturn.cot.thinking=None"):
        # The answer decides in training. Who is asked has not answered yet: no thoughts are expected.
        empty = tokenizer(load_template(name).empty_thought, add_special_tokens=False)["input_ids"]
        assert asked[-len(empty) :] == empty
        asked = asked[: -len(empty)]
    assert tokenizer.decode(asked, clean_up_tokenization_spaces=False) == prompt
    (rendered,) = chat.render([conversation])
    assert isinstance(rendered, Rendered)
    batch = encode([rendered], tokenizer, cutoff_len=100_000, mask_history=True, train_on_prompt=False)
    ids, labels = batch.row(0)
    said = tokenizer(answer.rstrip("\n"), add_special_tokens=False)["input_ids"]
    assert ids[: len(asked) + len(said)] == asked + said
    assert labels[: len(asked) + len(said)] == [-100] * len(asked) + said
