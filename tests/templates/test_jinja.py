"""Every named format as Jinja renders, through the tokenizer, what the format itself renders."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2.exceptions import TemplateError

from engine.templates.base import list_templates, load_template, render_prompt, render_turns
from engine.templates.chat import load_chat
from engine.templates.jinja import quote
from tests.data.support import CHATML, build_tokenizer, conversation

MODES: tuple[tuple[bool, dict[str, bool]], ...] = (
    (True, {}),
    (True, {"enable_thinking": True}),
    (False, {"enable_thinking": False}),
)
WITH_BOS = build_tokenizer(None, bos="<s>", eos="</s>")
WITHOUT_BOS = build_tokenizer(None, eos="</s>")


@pytest.mark.parametrize("name", list_templates())
@pytest.mark.parametrize("system", ["", 'It\'s \\ "brief".\n'])
def test_equal_to_the_format(name: str, system: str) -> None:
    form = load_template(name)
    for tokenizer in (WITH_BOS, WITHOUT_BOS):
        specials = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}
        jinja = load_chat(tokenizer, name).jinja()
        opening, closing = form.thought_words
        for second in ("A2", f"{opening}T2{closing}A2"):
            turns = [("U1", f"{opening}T1{closing}A1"), ("U2", second)]
            chat = conversation(*turns[0], *turns[1], system=system).to_chat()
            for thinking, keywords in (
                (True, {}),
                (True, {"enable_thinking": True}),
                (False, {"enable_thinking": False}),
            ):
                expected = render_turns(
                    form, turns, system=system, specials=specials, thinking=thinking, discard_history=True
                )
                assert apply(tokenizer, jinja, chat, **keywords) == expected.text
                prompt = render_prompt(
                    form, turns[:1], "U2", system=system, specials=specials, thinking=thinking
                )
                got = apply(tokenizer, jinja, chat[:-1], add_generation_prompt=True, **keywords)
                assert got == prompt.text


def apply(tokenizer: Any, jinja: str, chat: list[dict[str, str]], **keywords: Any) -> str:
    text: str = tokenizer.apply_chat_template(chat, chat_template=jinja, tokenize=False, **keywords)
    return text


def test_default_system_travels_with_it() -> None:
    jinja = load_chat(WITH_BOS, "qwen", default_system="Be kind.").jinja()
    assert apply(WITH_BOS, jinja, conversation("U", "A").to_chat()).startswith(
        "<|im_start|>system\nBe kind.<|im_end|>"
    )


def test_roles_that_do_not_alternate_are_refused() -> None:
    jinja = load_chat(WITH_BOS, "qwen").jinja()
    with pytest.raises(TemplateError, match="user and assistant in turn"):
        apply(WITH_BOS, jinja, [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])


def test_own_template_is_returned_untouched() -> None:
    assert load_chat(build_tokenizer()).jinja() == CHATML


def test_quote() -> None:
    assert quote("it's\n\\") == "'it\\'s\\n\\\\'"
