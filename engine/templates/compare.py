"""A template chosen by name beside the tokenizer's own: do they write the same? For people, as a short diff.

Try: python -m engine.templates.chat data/tiny-qwen3 llama3
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from engine.errors import DataError
from engine.templates.base import Conversation, Rendered

MOST_LINES = 14
THOUGHT = "Counting."
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "One?"}
ANSWER = {"role": "assistant", "content": "Two."}
NEXT = ({"role": "user", "content": "Three?"}, {"role": "assistant", "content": "Four."})
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer", "description": "first"}}},
    },
}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}],
}
PROBES = {
    "plain": Conversation((USER, ANSWER)),
    "system": Conversation((SYSTEM, USER, ANSWER)),
    "several turns": Conversation((USER, ANSWER, *NEXT)),
    "tools": Conversation((SYSTEM, USER, CALL, {"role": "tool", "content": "2"}, ANSWER), (TOOL,)),
    "thinking": Conversation((USER, {**ANSWER, "reasoning_content": THOUGHT})),
}
Render = Callable[[Sequence[Conversation]], list[Rendered | str]]
RenderPrompt = Callable[[Conversation], Rendered]


def compare(name: str, ours: tuple[Render, RenderPrompt], own: tuple[Render, RenderPrompt]) -> str:
    """ "" where both write every probe alike, else what differs: the kinds of conversations, and a unified
    diff of the first. Probes that the tokenizer's own template cannot take are left out.
    """
    different: dict[str, tuple[str, str]] = {}
    for kind, probe in PROBES.items():
        (theirs,), (written,) = own[0]([probe]), ours[0]([probe])
        if isinstance(theirs, str) or isinstance(written, str):
            continue
        if kind == "thinking" and THOUGHT not in theirs.text:
            continue
        # What follows the last stop is never learnt and no prompt holds it.
        if theirs.text.rstrip() != written.text.rstrip():
            different[kind] = theirs.text, written.text
    asked = Conversation((USER,))
    try:
        prompts = own[1](asked).text, ours[1](asked).text
    except DataError:
        prompts = "", ""
    if prompts[0] != prompts[1] and "plain" not in different:
        different["the prompt of an answer"] = prompts
    if not different:
        return ""
    first = next(iter(different))
    diff = _diff(*different[first], name)
    kinds = ", ".join(different)
    return f"template={name} differs from the tokenizer's own chat template ({kinds}). {first}:\n{diff}"


def _diff(theirs: str, written: str, name: str) -> str:
    lines = list(
        difflib.unified_diff(
            _lines(theirs), _lines(written), "the tokenizer's own", f"template={name}", n=1, lineterm=""
        )
    )
    more = len(lines) - MOST_LINES
    return "\n".join(lines[:MOST_LINES] + ([f"... {more} lines more"] if more > 0 else []))


def _lines(text: str) -> list[str]:
    """Lines with their ends made visible: a missing line break is what often differs."""
    return [line.replace("\r", "\\r").replace("\n", "\\n") for line in text.splitlines(keepends=True)]
