"""The facts of named chat formats (families/*.json): what stands around system texts, questions, answers,
tool calls and tool results. Renders nothing; base.py does.

Pieces are text with {{content}}, a special token of the tokenizer ({"special": "eos_token"}, left out where
the tokenizer has none) or fixed text ({"token": "..."}).
Try: python -c "from engine.templates.forms import *; print(load_template('qwen3'))"
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import UserError

FAMILIES = Path(__file__).parent / "families"
CONTENT = "{{content}}"
REASONING = ("reasoning", "reasoning_close_tag_only")
Piece = str | Mapping[str, str]


@dataclass(frozen=True)
class Format:
    """The facts of one named chat format. Field names follow the data files.

    function surrounds calls as assistant surrounds answers. observation surrounds tool results, of which
    several in a row are joined by between_results. family: system_in_first_user, reasoning,
    reasoning_close_tag_only (an empty thought is its closing word alone), chat_strip_tools_newlines (tools
    described without a system text begin without line breaks) or chat.
    """

    name: str
    family: str = "chat"
    prefix: tuple[Piece, ...] = ()
    system: tuple[Piece, ...] = (CONTENT,)
    user: tuple[Piece, ...] = (CONTENT,)
    assistant: tuple[Piece, ...] = (CONTENT,)
    observation: tuple[Piece, ...] = (CONTENT,)
    between_results: tuple[Piece, ...] = ("\n",)
    function: tuple[Piece, ...] = (CONTENT,)
    default_system: str = ""
    stop_words: tuple[str, ...] = ()
    thought_words: tuple[str, ...] = ("<think>\n", "\n</think>\n\n")
    tool_call_words: tuple[str, ...] = ("<tool_call>", "</tool_call>")
    tool_format: str = "default"
    eos_only_at_end: bool = False
    stop_word_becomes_eos: bool = False
    replace_chat_template: bool = False
    media: str | None = None

    @property
    def empty_thought(self) -> str:
        opening, closing = self.thought_words
        return closing if self.family == "reasoning_close_tag_only" else opening + closing


def list_templates() -> list[str]:
    """Every name that `load_template` accepts, sorted."""
    return sorted(name for path in FAMILIES.glob("*.json") for name in _read_family(path))


def load_template(name: str) -> Format:
    """The format called `name`. Raises UserError with the nearest names."""
    for path in sorted(FAMILIES.glob("*.json")):
        facts = _read_family(path).get(name)
        if facts is not None:
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()
            }
            return Format(name=name, **values)
    known = list_templates()
    near = difflib.get_close_matches(name, known, 3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known names: {', '.join(known)}"
    raise UserError(f"template: {name!r} is not a known chat template; {hint}")


def _read_family(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts
