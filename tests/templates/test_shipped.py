"""Chat templates as models ship them, as far as TRL's package brings copies: rendered as apply_chat_template
does, answers and calls learnt with a stop, results never, and prompts that training begins with.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import trl
from tokenizers import AddedToken

from engine.data.tokens.tokenize import encode
from engine.schema.data import TemplateArgs
from engine.templates.base import Conversation, Rendered
from engine.templates.chat import load_chat
from tests.data.support import build_tokenizer
from tests.templates.styles import answer, call, tool, user

FOLDER = Path(trl.__file__).parent / "chat_templates"
CONTROL = re.compile(
    r"<[|｜][^|｜<>' ]+[|｜]?>|<[a-z_]+\|>|\[/?[A-Z_]+\]|\[gMASK\]|<sop>|<(?:start|end)_of_turn>"
)
STOPS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<turn|>", "<|end|>", "<｜end▁of▁sentence｜>")
STOPS += ("<|END_OF_TURN_TOKEN|>",)
# Stops that learnt texts may end with besides.
OTHERS = (
    "<|return|>",
    "<|call|>",
    "<|END_RESPONSE|>",
    "<|observation|>",
    "<|tool_response>",
    "<|eot|>",
    "</s>",
)
# The last answer's beginning differs from what the generation prompt writes; a note says so.
NOTED = ("deepseek_r1_distill", "deepseekv3", "nemotron_3_5_lightning", "nemotron_3_nano", "nemotron_3_super")
NOTED += ("nemotron_3_ultra",)
NAMES = (
    "cohere", "cohere2", "deepseek_r1_distill", "deepseekv3", "diffusion_gemma", "gemma", "gemma3", "gemma4",
    "gemma4_v2", "gemma4_v3", "gemma4_v4", "gemma4_v5", "glm4moe", "gptoss", "lfm2", "lfm2_2_5",
    "lfm2_2_5_v2", "lfm2_2_5_vl", "lfm2_v2", "llama3", "llama3_1", "llama3_2", "muse_glimmer",
    "nemotron_3_5_lightning", "nemotron_3_nano", "nemotron_3_super", "nemotron_3_ultra", "phi3", "phi3_5",
    "qwen2_5", "qwen2_5_vl", "qwen3", "qwen3_5_nothink", "qwen3_5_think", "qwen3_6", "qwen3_8",
    "qwen3_instruct_2507", "qwen3_vl",
)  # fmt: skip
NOW: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The hour.",
        "parameters": {"type": "object", "properties": {}},
    },
}
PLAIN = (user("Hi"), answer("Hello"), user("Who?"), answer("Me"))
CHAIN = (
    user("W"),
    answer("", call("now", zone="CET")),
    tool("R12"),
    answer("Noon."),
    user("And?"),
    answer("Ten."),
)


@functools.cache
def tokenizer_of(name: str) -> Any:
    source = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    control = sorted(set(CONTROL.findall(source)) - {"<|think|>"})
    eos = next((stop for stop in STOPS if stop in control), "</s>")
    tokenizer = build_tokenizer(source, bos="<s>", eos=eos)
    added = [AddedToken(token, special=True, normalized=False) for token in control]
    tokenizer.add_tokens(added, special_tokens=True)
    words = ("<think>", "</think>", "<tool_call>", "</tool_call>")
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
    return tokenizer


def rendered_by(name: str, messages: Any, tools: Any, thinking: bool = True) -> Rendered | str:
    chat = load_chat(tokenizer_of(name), TemplateArgs(enable_thinking=thinking))
    (rendered,) = chat.render([Conversation(messages, tools)])
    if isinstance(rendered, str):
        return rendered
    prompt = chat.prompt_ids(messages[:-1], tools)
    batch = encode([rendered], chat.tokenizer, cutoff_len=100_000, mask_history=True, train_on_prompt=False)
    ids, labels = batch.row(0)
    noted = any("which trained answers do not begin with" in note for note in chat.notes)
    assert noted == (name in NOTED and (thinking or name.startswith("deepseek")))
    assert noted or (ids[: len(prompt)] == prompt and set(labels[: len(prompt)]) == {-100})
    assert chat.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == rendered.text
    return rendered


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_plain_turns(name: str, thinking: bool) -> None:
    rendered = rendered_by(name, PLAIN, (), thinking)
    assert isinstance(rendered, Rendered), rendered
    first, last = (rendered.text[turn.answer : turn.stop] for turn in rendered.turns)
    assert "Hello" in first
    assert "Me" in last
    assert last.endswith((*STOPS, *OTHERS))
    if thinking:
        switches = {"preserve_thinking": False, "clear_thinking": True}
        text = tokenizer_of(name).apply_chat_template(list(PLAIN), tokenize=False, **switches)
        assert rendered.text in (text, f"{text}{tokenizer_of(name).eos_token}")


@pytest.mark.parametrize("name", NAMES)
def test_calls_and_results(name: str) -> None:
    rendered = rendered_by(name, CHAIN, (NOW,))
    if isinstance(rendered, str):
        # No tools, no calls, or none without ids and the like: refused, with the reason.
        assert rendered.startswith("the tokenizer's chat template writes no tools") or name in (
            "lfm2",
            "muse_glimmer",
        )
        return
    learnt = [rendered.text[turn.answer : turn.stop] for turn in rendered.turns]
    assert len(learnt) == 3
    assert "now" in learnt[0]
    assert "CET" in learnt[0]
    assert learnt[0].endswith((*STOPS, *OTHERS))
    assert not any("R12" in text or text == "W" for text in learnt)
    assert "Noon." in learnt[1]
    assert "Ten." in learnt[2]


def test_stops_are_those_of_a_last_answer_and_of_calls() -> None:
    """gpt-oss closes thoughts and earlier answers with <|end|>: whoever stops there stops thinking."""
    expected = {
        "gptoss": ["<|return|>", "<|call|>"],
        "gemma4_v5": ["<|tool_response>", "<turn|>"],
        "glm4moe": ["<|observation|>", "</s>"],
        "qwen3": ["<|im_end|>"],
    }
    found = {name: load_chat(tokenizer_of(name)).renderer.stop_strings() for name in expected}
    assert found == expected


@pytest.mark.parametrize(
    ("name", "tool_format"),
    [("qwen3_5_think", "qwen3_5"), ("glm4moe", "glm4_moe"), ("lfm2_2_5", "lfm2"), ("gemma4_v5", "gemma4")],
)
def test_calls_are_read_back_in_the_manner_of_the_template(name: str, tool_format: str) -> None:
    rendered = rendered_by(name, CHAIN, (NOW,))
    assert isinstance(rendered, Rendered)
    first = rendered.turns[0]
    written = rendered.text[first.answer : first.stop]
    parsed = load_chat(tokenizer_of(name)).parse_answer(written, [NOW])
    assert [(word, dict(arguments)) for word, arguments in parsed.calls] == [("now", {"zone": "CET"})]
    named = load_chat(tokenizer_of(name), TemplateArgs(template="chatml", tool_format=tool_format))
    assert named.parse_answer(written, [NOW]).calls == parsed.calls


def test_most_templates_take_tools() -> None:
    taken = [name for name in NAMES if isinstance(rendered_by(name, CHAIN, (NOW,)), Rendered)]
    assert len(taken) >= 25
    assert {"gptoss", "glm4moe", "qwen3", "qwen3_5_think", "llama3_1", "gemma4_v5", "lfm2_2_5"} <= set(taken)
