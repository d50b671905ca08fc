"""Named formats against what they must render: tests/templates/template_examples.json, tools left out for
now.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.templates.base import Rendered, list_templates, load_template, render_prompt, render_turns

EXAMPLES = json.loads((Path(__file__).parent / "template_examples.json").read_text(encoding="utf-8"))
SPECIALS = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
CASES = [(name, case) for name, cases in EXAMPLES.items() for case in cases if case != "tools"]
REASON = re.compile(r"reason\.(oneturn\.)?(cot|nocot)\.thinking=(\w+)(?:\.discard_history=(\w+))?")


def pairs_of(rendered: Rendered) -> list[list[str]]:
    return [[rendered.text[t.start : t.answer], rendered.text[t.answer : t.end]] for t in rendered.turns]


def render_case(name: str, case: str) -> Rendered:
    form = load_template(name)
    match = REASON.fullmatch(case)
    thinking: bool | None = True
    discard = False
    answers = ["A1", "A2"]
    if match:
        one_turn, kind, thinking_text, discard_text = match.groups()
        thinking = {"True": True, "False": False, "None": None}[thinking_text]
        discard = bool(one_turn) or discard_text == "True"
        if kind == "cot":
            opening, closing = form.thought_words
            answers = [f"{opening}T{number}{closing}A{number}" for number in (1, 2)]
    turns = [("U1", answers[0])] if case == "system" else [("U1", answers[0]), ("U2", answers[1])]
    system = "SYS-PROMPT" if case == "system" else ""
    return render_turns(
        form, turns, system=system, specials=SPECIALS, thinking=thinking, discard_history=discard
    )


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case}" for name, case in CASES])
def test_example(name: str, case: str) -> None:
    expected = EXAMPLES[name][case]
    got = pairs_of(render_case(name, case))
    if load_template(name).eos_only_at_end:
        # The end token of the whole conversation is not part of the examples' turns.
        assert got[-1][1].endswith("<EOS>")
        got[-1][1] = got[-1][1].removesuffix("<EOS>")
    if case.startswith("reason.oneturn"):
        got = ["".join(got[0]) + got[1][0], got[1][1]]
    assert got == expected


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
def test_prompt_for_the_next_answer_is_a_prefix_of_training(name: str) -> None:
    """With the answers' thoughts dropped, as for inference, what the model is asked is what it was trained
    behind.
    """
    form = load_template(name)
    for thinking in (True, False):
        prompt = render_prompt(form, [("U1", "A1")], "U2", specials=SPECIALS, thinking=thinking)
        full = render_turns(
            form, [("U1", "A1"), ("U2", "A2")], specials=SPECIALS, thinking=thinking, discard_history=True
        )
        assert full.text[: full.turns[-1].answer] == prompt.text


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
