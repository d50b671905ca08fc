"""The tokenizer's own template: text and ids equal apply_chat_template's, learnt text is the answer plus its
stop.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.render import learnt_spans
from engine.data.tokens.tokenize import encode
from engine.errors import DataError
from engine.schema.data import TemplateArgs
from engine.templates.base import Conversation, Rendered
from engine.templates.chat import load_chat
from engine.templates.native import NativeTemplate
from tests.data import support

STYLES: dict[str, dict[str, Any]] = {
    "chatml": {"chat_template": support.CHATML},
    "thinking": {"chat_template": support.template("thinking")},
    "opens_thought": {"chat_template": support.template("opens_thought"), "eos": "</s>"},
    "brackets": {"chat_template": support.template("brackets"), "bos": "<s>", "eos": "</s>"},
    "turns": {"chat_template": support.template("turns"), "bos": "<s>", "eos": "<|endoftext|>"},
    "no_stop": {"chat_template": support.NO_STOP, "eos": "<|endoftext|>"},
}
STOPS = {"opens_thought": "</s>", "brackets": " </s>", "turns": "<end_of_turn>", "no_stop": "<|endoftext|>"}
TOKENIZERS = {name: support.build_tokenizer(**facts) for name, facts in STYLES.items()}
TEMPLATES = {name: NativeTemplate(tokenizer) for name, tokenizer in TOKENIZERS.items()}

# Words that could be mistaken for a template's own, blanks at the borders, forged turns.
CONTENTS = st.lists(
    st.sampled_from(
        [
            "a",
            "Hello there",
            " ",
            "\n",
            "user",
            "assistant\n",
            "<|im_start|>assistant\n",
            "<|im_end|>\n",
            "[INST]",
        ]
        + [
            "你好",
            "é",
            "<end_of_turn>\n",
            "</s>",
            "{{ x }}",
            "Mq0x7Zm",
            "I am a small model.",
            "🙂",
            "<|user|>",
        ]
    ),
    min_size=1,
    max_size=4,
).map("".join)


def chat_of(contents: list[str], system: str = "") -> list[dict[str, str]]:
    return list(support.conversation(*contents, system=system).to_conversation().messages)


def conversation_of(contents: list[str], system: str = "") -> Conversation:
    return Conversation(tuple(chat_of(contents, system)))


def named(name: str | None, **values: Any) -> TemplateArgs:
    return TemplateArgs(template=name, **values)


def render(style: str, chat: list[dict[str, str]]) -> Rendered:
    (rendered,) = TEMPLATES[style].render([Conversation(tuple(chat))])
    assert isinstance(rendered, Rendered), rendered
    return rendered


def learnt(rendered: Rendered) -> list[str]:
    spans = learnt_spans(rendered, mask_history=False, train_on_prompt=False)
    return [rendered.text[start:end] for start, end in spans]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_text_equals_apply_chat_template(style: str, system: str) -> None:
    chat = chat_of(["Hi", "Hello", "Who?", "Me"], "" if style == "turns" else system)
    expected = TOKENIZERS[style].apply_chat_template(chat, tokenize=False)
    assert render(style, chat).text == expected + ("<|endoftext|>" if style == "no_stop" else "")


@pytest.mark.parametrize("style", ["chatml", "opens_thought", "brackets", "turns"])
def test_learnt_text_is_answer_and_stop(style: str) -> None:
    stop = STOPS.get(style, "<|im_end|>")
    lead = " " if style == "brackets" else ""
    answers = learnt(render(style, chat_of(["Hi", "Hello", "Who?", "Me"])))
    assert answers == [f"{lead}Hello{stop}", f"{lead}Me{stop}"]


def test_thinking_template_teaches_the_block_that_the_model_must_write() -> None:
    chat = chat_of(["Hi", "<think>\nT1\n</think>\n\nHello", "Who?", "<think>T2</think>Me"])
    rendered = render("thinking", chat)
    assert rendered.text == TOKENIZERS["thinking"].apply_chat_template(chat, tokenize=False)
    # The template drops T1 once another question follows, and writes T2 its own way.
    assert learnt(rendered) == ["Hello<|im_end|>", "<think>\nT2\n</think>\n\nMe<|im_end|>"]
    assert learnt(render("thinking", chat_of(["Hi", "Hello"]))) == ["<think>\n\n</think>\n\nHello<|im_end|>"]


def test_template_without_stop_gets_the_end_token_and_says_so() -> None:
    template = NativeTemplate(TOKENIZERS["no_stop"])
    (rendered,) = template.render([conversation_of(["Hi", "Hello", "Who?", "Me"])])
    assert isinstance(rendered, Rendered)
    assert learnt(rendered) == ["Hello", "Me<|endoftext|>"]
    assert template.notes == [
        "the tokenizer's chat template writes no stop after the last answer; <|endoftext|> is appended there"
    ]


def test_generation_prompt_that_answers_lack_is_noted() -> None:
    template = NativeTemplate(TOKENIZERS["opens_thought"])
    template.render([conversation_of(["Hi", "Hello"])])
    assert template.notes == [
        "the generation prompt ends with '<think>\\n', which trained answers do not begin with"
    ]


def test_refusal_of_the_template_is_the_rows_reason_and_spares_the_others() -> None:
    results = TEMPLATES["turns"].render([conversation_of(["Hi", "A"], "S"), conversation_of(["Hi", "A"])])
    assert results[0] == "the chat template refuses it: system role is not supported"
    assert isinstance(results[1], Rendered)


def test_template_that_hides_an_answer_is_refused() -> None:
    tokenizer = support.build_tokenizer(
        "{%- for m in messages -%}{{ m.role + ': ' + m.content | upper + '<|im_end|>' }}{%- endfor -%}"
    )
    assert NativeTemplate(tokenizer).render([conversation_of(["Hi", "Hello"])]) == [
        "the chat template changes this conversation so that its answers cannot be found again"
    ]


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=60, deadline=None)
@given(contents=st.lists(CONTENTS, min_size=2, max_size=6).filter(lambda items: len(items) % 2 == 0))
def test_ids_and_labels_hold_for_odd_contents(style: str, contents: list[str]) -> None:
    """Blanks and multi-byte characters: the ids stay those of the whole text, the answers are found. Forged
    turns add no control token.
    """
    chat = chat_of(contents)
    tokenizer = TOKENIZERS[style]
    rendered = render(style, chat)
    tail = "<|endoftext|>" if style == "no_stop" else ""
    assert rendered.text == tokenizer.apply_chat_template(chat, tokenize=False) + tail
    batch = encode([rendered], tokenizer, cutoff_len=10_000, mask_history=False, train_on_prompt=False)
    ids, _ = batch.row(0)
    forges = any(token in text for token in support.SPECIAL for text in contents)
    assert bool(batch.guarded[0]) == forges
    if forges:
        harmless = render(style, chat_of(["a"] * len(contents)))
        control = set(tokenizer.convert_tokens_to_ids(list(support.SPECIAL)))
        own = [i for i in tokenizer(harmless.text, add_special_tokens=False)["input_ids"] if i in control]
        assert [i for i in ids if i in control] == own
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == rendered.text
    else:
        assert ids == tokenizer(rendered.text, add_special_tokens=False)["input_ids"]
        assert tail or ids == tokenizer.apply_chat_template(chat, return_dict=False)
    answers = contents[1::2]
    exact = {
        "chatml": [f"{text}<|im_end|>" for text in answers],
        "thinking": [f"{text}<|im_end|>" for text in answers[:-1]]
        + [f"<think>\n\n</think>\n\n{answers[-1]}<|im_end|>"],
        "opens_thought": [f"{text}</s>" for text in answers],
        "brackets": [f" {text.strip()} </s>" for text in answers],
        "turns": [f"{text.strip()}<end_of_turn>" for text in answers],
        "no_stop": [*answers[:-1], f"{answers[-1]}<|endoftext|>"],
    }
    assert learnt(rendered) == exact[style]
    assert rendered.turns[-1].end == len(rendered.text)


@pytest.mark.parametrize("style", ["chatml", "turns", "no_stop", "thinking"])
def test_training_begins_where_the_prompt_ends(style: str) -> None:
    chat = chat_of(["Hi", "Hello", "Who?", "Me"])
    prompt = load_chat(TOKENIZERS[style]).prompt_ids(chat[:-1])
    rendered = render(style, chat)
    batch = encode([rendered], TOKENIZERS[style], cutoff_len=1000, mask_history=True, train_on_prompt=False)
    ids, labels = batch.row(0)
    assert ids[: len(prompt)] == prompt
    assert labels[: len(prompt)] == [-100] * len(prompt)
    assert labels[len(prompt)] != -100


def test_stop_token_ids() -> None:
    turns = TOKENIZERS["turns"]
    assert load_chat(turns).stop_token_ids() == turns.convert_tokens_to_ids(
        ["<end_of_turn>", "<|endoftext|>"]
    )
    chatml = TOKENIZERS["chatml"]
    assert load_chat(chatml).stop_token_ids() == [chatml.convert_tokens_to_ids("<|im_end|>")]
    assert load_chat(chatml, named("qwen3")).stop_token_ids() == [chatml.convert_tokens_to_ids("<|im_end|>")]


def test_prompt_ids_equal_apply_chat_template() -> None:
    tokenizer = TOKENIZERS["chatml"]
    chat = [{"role": "user", "content": "Hi"}]
    expected = tokenizer.apply_chat_template(
        [{"role": "system", "content": "S"}, *chat], add_generation_prompt=True, return_dict=False
    )
    assert load_chat(tokenizer, named(None, default_system="S")).prompt_ids(chat) == expected
    assert load_chat(tokenizer, named("chatml", default_system="S")).prompt_ids(chat) == expected


def test_half_a_character_is_no_prompt() -> None:
    """A terminal or a JSON body can hand one in; no tokenizer takes it."""
    with pytest.raises(DataError, match="no text"):
        load_chat(TOKENIZERS["chatml"]).prompt_ids([{"role": "user", "content": "a\udcff"}])


def test_named_template_is_compared_with_the_tokenizers_own() -> None:
    assert load_chat(TOKENIZERS["chatml"], named("chatml")).notes == []
    (note,) = load_chat(TOKENIZERS["chatml"], named("llama3")).notes
    head, plain, *_ = note.split("\n")
    assert head.endswith("from the tokenizer's own chat template (plain, system, several turns). plain:")
    assert plain == "--- the tokenizer's own"
    assert "-<|im_start|>user\\n\n" in note
    assert len(note.splitlines()) <= 16


def test_tokenizer_without_a_template_needs_a_name() -> None:
    bare = support.build_tokenizer(None)
    with pytest.raises(DataError, match="this tokenizer has no chat template of its own"):
        load_chat(bare)
    assert (
        load_chat(bare, named("chatml"))
        .prompt_text([{"role": "user", "content": "Hi"}])
        .endswith("assistant\n")
    )


@pytest.mark.parametrize("name", ["vicuna", "alpaca", "llama2", "qwen3", "glm4"])
def test_named_ids_are_those_of_each_prompt_and_each_answer(name: str) -> None:
    tokenizer = support.build_tokenizer(None, bos="<s>", eos="</s>")
    chat = load_chat(tokenizer, named(name))
    (rendered,) = chat.render([conversation_of(["Hi", "Hello", "Who?", "Me"], "Be brief.")])
    assert isinstance(rendered, Rendered)
    expected: list[int] = []
    for turn in rendered.turns:
        for text in (rendered.text[turn.start : turn.answer], rendered.text[turn.answer : turn.end]):
            expected += tokenizer(text, add_special_tokens=False)["input_ids"]
    batch = encode([rendered], tokenizer, cutoff_len=1000, mask_history=False, train_on_prompt=False)
    assert batch.row(0)[0] == expected
