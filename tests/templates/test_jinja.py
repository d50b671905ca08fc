"""Every named format as Jinja renders, through the tokenizer, what the format itself renders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jinja2.exceptions import TemplateError

from engine.templates.base import (
    list_templates,
    list_tool_formats,
    load_template,
    load_tool_format,
    render_prompt,
    render_turns,
    split_messages,
)
from engine.templates.jinja import quote, write_jinja
from tests.data.support import build_tokenizer
from tests.templates.tool_cases import AGENT, CALLS, CLOCK, TOOL, tool_call

MODES: tuple[dict[str, bool | None], ...] = (
    {},
    {"enable_thinking": True},
    {"enable_thinking": False},
    {"enable_thinking": None, "preserve_thinking": True},
    {"enable_thinking": False, "preserve_thinking": True},
)
WITH_BOS = build_tokenizer(None, bos="<s>", eos="</s>")
WITHOUT_BOS = build_tokenizer(None, eos="</s>")
SYSTEM = 'It\'s \\ "brief".\n'
DATE = re.compile(r"Today Date: .*")


def apply(tokenizer: Any, jinja: str, chat: Sequence[dict[str, Any]], **keywords: Any) -> str:
    text: str = tokenizer.apply_chat_template(list(chat), chat_template=jinja, tokenize=False, **keywords)
    return DATE.sub("Today Date: masked", text)


def assert_equal(
    name: str, tokenizer: Any, chat: list[dict[str, Any]], tools: list[dict[str, Any]], **options: Any
) -> None:
    """The whole conversation, and the prompt of its last answer, in every mode."""
    form = load_template(name)
    specials = {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token}
    jinja = write_jinja(form, has_bos=tokenizer.bos_token is not None, **options)
    system, turns, _ = split_messages(chat)
    for mode in MODES:
        rules: dict[str, Any] = {
            "system": system,
            "tools": tools,
            "tool_format": options.get("tool_format"),
            "specials": specials,
            "thinking": mode.get("enable_thinking", True),
            "discard_history": not mode.get("preserve_thinking", False),
        }
        whole = DATE.sub("Today Date: masked", render_turns(form, turns, **rules).text)
        assert apply(tokenizer, jinja, chat, tools=tools or None, **mode) == whole, mode
        asked = DATE.sub("Today Date: masked", render_prompt(form, turns[:-1], turns[-1], **rules).text)
        got = apply(tokenizer, jinja, chat[:-1], tools=tools or None, add_generation_prompt=True, **mode)
        assert got == asked, mode


@pytest.mark.parametrize("name", list_templates())
def test_equal_to_the_format(name: str) -> None:
    opening, closing = load_template(name).thought_words
    for second in ("A2", f"{opening}T2{closing}A2"):
        chat: list[dict[str, Any]] = [
            {"role": "user", "content": "U1"},
            {"role": "assistant", "content": f"{opening}T1{closing}A1"},
            {"role": "user", "content": "U2"},
            {"role": "assistant", "content": second},
        ]
        assert_equal(name, WITH_BOS, chat, [])
        assert_equal(name, WITHOUT_BOS, [{"role": "system", "content": SYSTEM}, *chat], [])


@pytest.mark.parametrize("name", list_templates())
def test_tools_equal_to_the_format(name: str) -> None:
    opening, closing = load_template(name).thought_words
    inline = {**AGENT[1], "content": f"{opening}T{closing}"}
    system = {"role": "system", "content": SYSTEM}
    assert_equal(name, WITH_BOS, AGENT, [TOOL, CLOCK])
    assert_equal(name, WITHOUT_BOS, [system, AGENT[0], inline, *AGENT[2:7]], [TOOL])
    assert_equal(name, WITH_BOS, AGENT[:2], [TOOL])


@pytest.mark.parametrize("tool_format", list_tool_formats())
def test_another_tool_format(tool_format: str) -> None:
    assert_equal("chatml", WITH_BOS, AGENT, [TOOL, CLOCK], tool_format=tool_format)


@pytest.mark.parametrize("name", list_tool_formats())
def test_calls_are_written_alike(name: str) -> None:
    tools = load_tool_format(name)
    jinja = tools.jinja + "{{- write_calls(messages[0].tool_calls) -}}"

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CALLS)
    def check(calls: list[tuple[str, dict[str, Any]]]) -> None:
        message = {"role": "assistant", "tool_calls": [tool_call(*call) for call in calls]}
        assert apply(WITH_BOS, jinja, [message]) == "".join(tools.write_calls(calls))

    check()


@pytest.mark.parametrize("name", ["qwen", "llama3", "mistral", "glm4", "default", "minimax1"])
def test_arguments_as_json_text(name: str) -> None:
    """OpenAI clients send them so; formats that write JSON take them as they are."""
    tools = load_tool_format(name)
    jinja = tools.jinja + "{{- write_calls(messages[0].tool_calls) -}}"
    call = {"type": "function", "function": {"name": "f", "arguments": '{"a": "北京"}'}}
    got = apply(WITH_BOS, jinja, [{"role": "assistant", "tool_calls": [call]}])
    assert got == "".join(tools.write_calls([("f", {"a": "北京"})]))


def test_what_was_trained_is_the_default() -> None:
    form = load_template("qwen3")
    chat = [*AGENT[:7], AGENT[7]]
    untouched = write_jinja(form)
    trained = write_jinja(form, thinking=False, preserve_thinking=True)
    got = apply(WITH_BOS, trained, chat, add_generation_prompt=True)
    asked = {"enable_thinking": False, "preserve_thinking": True}
    assert got == apply(WITH_BOS, untouched, chat, add_generation_prompt=True, **asked)
    assert got != apply(WITH_BOS, untouched, chat, add_generation_prompt=True)
    assert got.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_default_system_travels_with_it() -> None:
    jinja = write_jinja(load_template("qwen"), default_system="Be kind.")
    chat = [{"role": "user", "content": "U"}]
    assert apply(WITH_BOS, jinja, chat).startswith("<|im_start|>system\nBe kind.<|im_end|>")


@pytest.mark.parametrize("roles", ["aa", "uu", "t", "ut", "uta", "auu", "uatu", "uasu"])
def test_roles_out_of_turn_are_refused(roles: str) -> None:
    words = {"u": "user", "a": "assistant", "t": "tool", "s": "system"}
    jinja = write_jinja(load_template("qwen"))
    with pytest.raises(TemplateError, match="in turn with answers of the assistant"):
        apply(WITH_BOS, jinja, [{"role": words[role], "content": "x"} for role in roles])


def test_quote() -> None:
    assert quote("it's\n\\") == "'it\\'s\\n\\\\'"
