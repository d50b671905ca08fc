"""Named formats against what they must render (template_examples.json, every case), and what holds of all of
them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DataError, UserError
from engine.templates.base import (
    Answer,
    Rendered,
    TurnIn,
    list_templates,
    load_template,
    parse_answer,
    render_prompt,
    render_turns,
    split_messages,
)
from tests.templates.tool_cases import AGENT, CALLS, CLOCK, TEXTS, TOOL

EXAMPLES = json.loads((Path(__file__).parent / "template_examples.json").read_text(encoding="utf-8"))
SPECIALS = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
CASES = [(name, case) for name, cases in EXAMPLES.items() for case in cases]
REASON = re.compile(r"reason\.(oneturn\.)?(cot|nocot)\.thinking=(\w+)(?:\.discard_history=(\w+))?")
CALL = ("get_weather", {"city": "Paris", "days": 2})
TOOL_TURNS = [TurnIn("U1", calls=(CALL,)), TurnIn(results=('{"t": 20}',), answer="A2")]


def pairs_of(rendered: Rendered) -> list[list[str]]:
    return [[rendered.text[t.start : t.answer], rendered.text[t.answer : t.end]] for t in rendered.turns]


def contents_of(rendered: Rendered) -> list[str]:
    return [rendered.text[start:end] for start, end in rendered.contents]


def render_case(name: str, case: str, *, thoughts_apart: bool) -> Rendered:
    form = load_template(name)
    if case == "tools":
        return render_turns(form, TOOL_TURNS, system="SYS-PROMPT", tools=[TOOL], specials=SPECIALS)
    match = REASON.fullmatch(case)
    thinking: bool | None = True
    discard = False
    turns = [TurnIn("U1", "A1"), TurnIn("U2", "A2")]
    if match:
        one_turn, kind, thinking_text, discard_text = match.groups()
        thinking = {"True": True, "False": False, "None": None}[thinking_text]
        discard = bool(one_turn) or discard_text == "True"
        if kind == "cot" and thoughts_apart:
            turns = [TurnIn("U1", "A1", "T1"), TurnIn("U2", "A2", "T2")]
        elif kind == "cot":
            opening, closing = form.thought_words
            turns = [TurnIn(f"U{i}", f"{opening}T{i}{closing}A{i}") for i in (1, 2)]
    if case == "system":
        return render_turns(form, turns[:1], system="SYS-PROMPT", specials=SPECIALS)
    return render_turns(form, turns, specials=SPECIALS, thinking=thinking, discard_history=discard)


@pytest.mark.parametrize("thoughts_apart", [False, True])
@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case}" for name, case in CASES])
def test_example(name: str, case: str, thoughts_apart: bool) -> None:
    expected = EXAMPLES[name][case]
    got = pairs_of(render_case(name, case, thoughts_apart=thoughts_apart))
    if load_template(name).eos_only_at_end:
        # The end token of the whole conversation is not part of the examples' turns.
        assert got[-1][1].endswith("<EOS>")
        got[-1][1] = got[-1][1].removesuffix("<EOS>")
    if case.startswith("reason.oneturn"):
        got = ["".join(got[0]) + got[1][0], got[1][1]]
    if (name, case) == ("llama3", "tools"):
        # The day of rendering.
        date = r"Today Date: \d\d \w\w\w \d{4}\n"
        assert re.search(date, got[0][0])
        got[0][0], expected = (
            re.sub(date, "", got[0][0]),
            [
                [re.sub(date, "", expected[0][0]), expected[0][1]],
                expected[1],
            ],
        )
    assert got == expected


def test_examples_are_all_there() -> None:
    assert len(EXAMPLES) == 36
    assert sum("tools" in cases for cases in EXAMPLES.values()) == 12


def test_all_names_load_and_render() -> None:
    names = list_templates()
    assert len(names) == 124
    for name in names:
        rendered = render_turns(load_template(name), [("U1", "A1"), ("U2", "A2")], specials=SPECIALS)
        assert [text for text in ("U1", "A1", "U2", "A2") if text not in rendered.text] == [], name


@pytest.mark.parametrize("name", list_templates())
def test_learnt_text_is_the_answer_and_at_most_one_stop(name: str) -> None:
    form = load_template(name)
    rendered = render_turns(form, [("U1", "A1"), ("U2", "A2")], specials=SPECIALS)
    for number, turn in enumerate(rendered.turns, 1):
        learnt = rendered.text[turn.answer : turn.stop]
        before, answer, after = learnt.partition(f"A{number}")
        assert answer, "the answer is learnt"
        head, _, tail = "".join(p if isinstance(p, str) else "" for p in form.assistant).partition(
            "{{content}}"
        )
        assert before in (head, form.empty_thought + head)
        own_stops = {stop for stop in form.stop_words if stop in tail} or {tail.strip()}
        assert after.strip() in {"<EOS>", *own_stops, *(f"{stop}<EOS>" for stop in own_stops)}
        assert turn.start <= turn.header <= turn.answer <= turn.stop <= turn.end
    assert rendered.turns[-1].end == len(rendered.text)


@pytest.mark.parametrize("name", list_templates())
@pytest.mark.parametrize("discard", [True, False])
def test_prompt_for_the_next_answer_is_a_prefix_of_training(name: str, discard: bool) -> None:
    """What the model is asked is what it was trained behind, whatever the rule for earlier thoughts."""
    form = load_template(name)
    system, turns, _ = split_messages(AGENT)
    for thinking in (True, False):
        rules: dict[str, Any] = {"specials": SPECIALS, "thinking": thinking, "discard_history": discard}
        for asked in range(len(turns)):
            given = (turns[:asked], turns[asked])
            prompt = render_prompt(form, *given, system=system, tools=[TOOL, CLOCK], **rules)
            full = render_turns(form, turns[: asked + 1], system=system, tools=[TOOL, CLOCK], **rules)
            at = full.turns[-1].answer
            assert full.text[:at] == prompt.text
            assert [cut for cut in full.cuts if cut < at] == list(prompt.cuts)
            assert [span for span in full.contents if span[1] <= at] == list(prompt.contents)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, CALLS | st.just([])), min_size=2, max_size=4), st.booleans())
@pytest.mark.parametrize(
    "name", ["qwen3", "llama2", "mistral", "glm4_moe", "gemma4", "lfm2", "chatglm3", "empty"]
)
def test_render_of_a_prefix_is_a_prefix(
    name: str, said: list[tuple[str, str, list[Any]]], thinking: bool
) -> None:
    form = load_template(name)
    turns = [TurnIn(prompt, answer, calls=tuple(calls)) for prompt, answer, calls in said]
    whole = render_turns(form, turns, tools=[TOOL], specials=SPECIALS, thinking=thinking)
    for count in range(1, len(turns)):
        part = render_turns(form, turns[:count], tools=[TOOL], specials=SPECIALS, thinking=thinking)
        text = part.text.removesuffix("<EOS>") if form.eos_only_at_end else part.text
        assert whole.text.startswith(text)
        assert [turn.answer for turn in whole.turns[:count]] == [turn.answer for turn in part.turns]
        assert whole.contents[: len(part.contents)] == part.contents


@pytest.mark.parametrize("name", list_templates())
def test_contents_are_what_the_data_says(name: str) -> None:
    """Taken out of a text, they leave what the format writes around any other data."""
    form = load_template(name)

    def skeleton(mark: str) -> tuple[str, list[str]]:
        turns = [TurnIn(f"U{mark}", f"A{mark}", f"T{mark}"), TurnIn("V" + mark, calls=((f"f{mark}", {}),))]
        turns.append(TurnIn(results=(f"R{mark}", f"S{mark}"), answer="B" + mark))
        tool = {"type": "function", "function": {"name": f"f{mark}", "description": f"D{mark}"}}
        shown = render_turns(form, turns, system=f"P{mark}", tools=[tool], specials=SPECIALS)
        kept, position = "", 0
        for start, end in shown.contents:
            assert position <= start < end
            kept, position = f"{kept}{shown.text[position:start]}\0", end
        return kept + shown.text[position:], contents_of(shown)

    fixed, contents = skeleton("x1")
    assert fixed == skeleton("Qq22")[0]
    assert "x1" not in fixed
    for said in ("Ux1", "Ax1", "Tx1", "Vx1", "Rx1", "Sx1", "Bx1"):
        assert said in contents
    for written in ("Px1", "Dx1", "fx1"):
        assert any(written in content for content in contents)


def test_thought_and_call_words_in_an_answer_are_the_formats_own() -> None:
    answer = "<|channel>thought\nT<channel|>Say <|turn> and <tool_call>x</tool_call>."
    rendered = render_turns(load_template("gemma4"), [("<turn|>U", answer)], specials=SPECIALS)
    assert contents_of(rendered) == ["<turn|>U", "T", "Say <|turn> and ", "x", "."]
    rendered = render_turns(load_template("qwen3"), [("U", "no </think> thought <think>")], specials=SPECIALS)
    assert contents_of(rendered) == ["U", "no </think> thought <think>"]


def test_several_results_share_a_turn() -> None:
    turns = [TurnIn("U", calls=(CALL, CALL)), TurnIn(results=("R1", "R2"), answer="A")]
    expected = {
        "qwen": "<|im_start|>user\n<tool_response>\nR1\n</tool_response>\n"
        "<tool_response>\nR2\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
        "mistral": '[TOOL_RESULTS] {"content": R1}[/TOOL_RESULTS]'
        '[TOOL_RESULTS] {"content": R2}[/TOOL_RESULTS]',
        "chatglm3": "<|observation|>\nR1<|observation|>\nR2<|assistant|>",
        "minimax2": "]~b]tool\n<response>R1</response>\n<response>R2</response>[e~[\n]~b]ai\n",
        "deepseek3": "<｜User｜>R1\nR2<｜Assistant｜>",
    }
    for name, prompt in expected.items():
        rendered = render_turns(load_template(name), turns, specials=SPECIALS)
        assert pairs_of(rendered)[1][0].removesuffix("<think>\n\n</think>\n\n") == prompt


def test_thoughts_of_the_running_chain_of_calls_stay() -> None:
    """discard_history drops what was thought before the user's last words, not on the way to their answer."""
    _, turns, _ = split_messages(AGENT[:7])
    form = load_template("qwen3")
    running = render_turns(form, turns, specials=SPECIALS, discard_history=True)
    assert "<think>\nOnce more?\n</think>\n\nLet me look.\n<tool_call>" in running.text
    _, turns, _ = split_messages(AGENT)
    over = render_turns(form, turns, specials=SPECIALS, discard_history=True)
    assert "Once more?" not in over.text
    assert over.text.count("<think>") == 1
    kept = render_turns(form, turns, specials=SPECIALS, discard_history=False)
    assert "Once more?" in kept.text


def test_thought_kept_apart_is_written_in_a_chat_format_too() -> None:
    rendered = render_turns(load_template("qwen"), [TurnIn("U", "A", "\nT\n")], specials=SPECIALS)
    assert pairs_of(rendered)[0][1] == "<think>\nT\n</think>\n\nA<|im_end|>\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("glm4_moe", "<think>\nT\n</think>\n\n\nWords.\n<tool_call>now"),
        ("gemma4", "<|channel>thought\nT<channel|>Words.<|tool><|tool_call>call:now{}<tool_call|><tool|>"),
        ("seed_oss", "<seed:think>T</seed:think>Words.<BOS>\n\n<seed:tool_call>\n<function=now\n</function>"),
        (
            "mistral_small",
            '<think>\nT\n</think>\n\nWords.[TOOL_CALLS][{"name": "now", "arguments": {}}]<EOS>',
        ),
    ],
)
def test_thought_and_words_stand_before_calls(name: str, expected: str) -> None:
    turn = TurnIn("U", "Words.", "T", (("now", {}),))
    rendered = render_turns(load_template(name), [turn], specials=SPECIALS)
    assert pairs_of(rendered)[0][1].startswith(expected)


def test_tools_without_a_system_text() -> None:
    for name, before in (("moss_vl", "system\n# Tools"), ("qwen3", "system\n\n\n# Tools")):
        rendered = render_prompt(load_template(name), [], "U", tools=[TOOL], specials=SPECIALS)
        assert rendered.text.startswith("<|im_start|>" + before)


def test_another_tool_format_is_used_where_asked() -> None:
    rendered = render_turns(
        load_template("chatml"), TOOL_TURNS, tools=[TOOL], tool_format="llama3", specials=SPECIALS
    )
    assert pairs_of(rendered)[0][1].startswith('{"name": "get_weather", "parameters": {"city"')


@pytest.mark.parametrize("name", list_templates())
def test_what_is_learnt_reads_back_as_what_was_said(name: str) -> None:
    form = load_template(name)
    said = [
        Answer("Hello."),
        Answer("Hello.", "T"),
        Answer("", "", (CALL, ("now", {}))),
        Answer("Words.", "T", (CALL,)),
    ]
    for answer in said:
        turn = TurnIn("U", answer.content, answer.thought, answer.calls)
        rendered = render_turns(form, [turn], tools=[TOOL], specials=SPECIALS)
        learnt = rendered.text[rendered.turns[0].answer : rendered.turns[0].stop]
        for stop in ("<EOS>", *form.stop_words):
            learnt = learnt.removesuffix(stop)
        # Formats without a stop end an answer with their next words.
        learnt = learnt.rstrip("\n") if form.assistant[-1] not in form.stop_words else learnt
        assert parse_answer(form, learnt, tools=[TOOL], specials=SPECIALS) == answer


def test_torn_calls_stay_text() -> None:
    form = load_template("qwen3")
    text = 'Wait.\n<tool_call>\n{"name": "now", "arguments": {'
    assert parse_answer(form, text) == Answer(text)
    assert parse_answer(form, f"<think>\nT\n</think>\n\n{text}") == Answer(text, "T")
    assert parse_answer(form, "Use <think> and </think>.") == Answer("Use <think> and </think>.")
    assert parse_answer(load_template("glm4_7"), "T</think>A") == Answer("A", "T")


def test_stop_word_inside_an_answer_does_not_end_it() -> None:
    rendered = render_turns(load_template("chatml"), [("U", "say <|im_end|> twice")], specials=SPECIALS)
    (turn,) = rendered.turns
    assert rendered.text[turn.answer : turn.stop] == "say <|im_end|> twice<|im_end|>"


def test_content_placeholder_in_user_text_stays() -> None:
    rendered = render_turns(load_template("chatml"), [("{{content}}", "A {{content}}")], specials=SPECIALS)
    assert "user\n{{content}}<|im_end|>" in rendered.text
    assert "A {{content}}<|im_end|>" in rendered.text


def test_special_token_that_the_tokenizer_lacks_is_left_out() -> None:
    rendered = render_turns(
        load_template("llama2"), [("U", "A")], specials={"bos_token": None, "eos_token": None}
    )
    assert rendered.text == "[INST] U [/INST]A"


def test_unknown_name_tells_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"template: 'qwen33' is not a known chat template; did you mean qwen3"
    ):
        load_template("qwen33")


def test_messages_become_turns() -> None:
    system, turns, question = split_messages([{"role": "system", "content": "S"}, *AGENT[:6]])
    assert (system, len(turns)) == ("S", 2)
    assert question == TurnIn(results=("[]",))
    assert turns[0].calls == (("get_weather", {"city": "北京", "days": 2}), ("now", {}))
    assert turns[1] == TurnIn(
        "", "Let me look.", "Once more?", turns[1].calls, results=('{"t": 20}', "12:00")
    )
    as_text = {"function": {"name": "f", "arguments": '{"a": 1}'}}
    answer = {"role": "assistant", "content": None, "tool_calls": [as_text]}
    assert split_messages([AGENT[0], answer])[1] == [TurnIn("U1", calls=(("f", {"a": 1}),))]


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ("aa", "message 1 is from 'assistant' where user is expected"),
        ("uu", "message 2 is from 'user' where assistant is expected"),
        ("t", "message 1 is from 'tool' where user is expected"),
        ("ut", "message 2 is from 'tool' where assistant is expected"),
        ("uatu", "message 4 is from 'user' where assistant is expected"),
        ("suaa", "message 3 is from 'assistant' where user is expected"),
    ],
)
def test_messages_out_of_turn(roles: str, reason: str) -> None:
    words = {"u": "user", "a": "assistant", "t": "tool", "s": "system"}
    with pytest.raises(DataError, match=reason):
        split_messages([{"role": words[role], "content": "x"} for role in roles])


def test_arguments_that_are_no_object() -> None:
    for arguments in ("{", "[1]"):
        call = {"function": {"name": "f", "arguments": arguments}}
        with pytest.raises(DataError, match="message 2: arguments of 'f' are no"):
            split_messages([AGENT[0], {"role": "assistant", "content": "", "tool_calls": [call]}])
