"""Tokenizers with chat templates in the manner of models that write tools, each with the control tokens it
writes (jinja/*.jinja; a template's first line says what is special about it). Shared by the tests.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from tests.data.support import build_tokenizer

JINJA = Path(__file__).parent / "jinja"
TINY = Path(__file__).resolve().parents[2] / "data" / "tiny-qwen3"
# Begin and end of a text. The other control tokens are those that the template spells.
STYLES: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "qwen25": {},
    "llama31": {"bos": "<|begin_of_text|>", "eos": "<|eot_id|>"},
    "mistral": {"bos": "<s>", "eos": "</s>"},
    "glm4": {"eos": "<|endoftext|>"},
    "glm45": {"eos": "<|endoftext|>"},
    "deepseek": {"bos": "<｜begin▁of▁sentence｜>", "eos": "<｜end▁of▁sentence｜>"},
    "gemma": {"bos": "<s>", "eos": "<end_of_turn>"},
}
CONTROL = re.compile(r"<[|｜][^|｜<>' ]+[|｜]>|\[/?[A-Z_]+\]|\[gMASK\]|<sop>")
NO_STOP = ("glm4", "glm45")
# Those that take tools, and among them the ones that take several calls in one answer.
WITH_TOOLS = tuple(name for name in STYLES if name != "gemma")
SEVERAL_CALLS = tuple(name for name in WITH_TOOLS if name != "llama31")


@functools.cache
def tokenizer_of(name: str) -> Any:
    """Do not change it: tests share it. "tiny": the demo model's own, as it ships."""
    if name == "tiny":
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(TINY)
    source = (JINJA / f"{name}.jinja").read_text(encoding="utf-8").removesuffix("\n")
    facts = STYLES[name]
    tokenizer = build_tokenizer(source, **facts)
    control = sorted({*CONTROL.findall(source), *facts.values(), "<|user|>", "<|assistant|>"})
    tokenizer.add_tokens(
        [AddedToken(token, special=True, normalized=False) for token in control], special_tokens=True
    )
    words = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
    tokenizer.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
    return tokenizer


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def tool(content: str) -> dict[str, Any]:
    return {"role": "tool", "content": content}


def answer(content: str, *calls: dict[str, Any], thought: str = "") -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if thought:
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = list(calls)
    return message


def call(name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}
