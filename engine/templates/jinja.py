"""A named format written as a Jinja chat template, so that a saved tokenizer carries it wherever it goes.

It renders what a model is asked at inference: earlier answers without their thoughts. Tool turns are refused.
Try: python -m engine.templates.jinja qwen3
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.templates.base import CONTENT, REASONING, Format, Piece, load_template

ROLES = "this chat template takes a system message, then user and assistant in turn"


def write_jinja(form: Format, *, default_system: str = "", has_bos: bool = True, has_eos: bool = True) -> str:
    """The template's source. default_system replaces the format's own; has_bos, has_eos: the tokenizer has
    such a token.
    """
    writer = _Writer(has_bos, has_eos)
    in_user = form.family == "system_in_first_user"
    system = writer.joined(form.system, "system")
    lines = [
        f"{{%- set system = {quote(default_system or form.default_system)} -%}}",
        "{%- if messages and messages[0].role == 'system' -%}",
        "{%- set system = messages[0].content or system -%}",
        "{%- set messages = messages[1:] -%}",
        "{%- endif -%}",
        writer.output(form.prefix, "''"),
        f"{{%- set opening = {system} if system else '' -%}}",
        "" if in_user else "{{- opening -}}",
        "{%- for message in messages -%}",
        "{%- if message.role != ('user' if loop.index0 % 2 == 0 else 'assistant') -%}",
        f"{{{{- raise_exception({quote(ROLES)}) -}}}}",
        "{%- endif -%}",
        "{%- set content = message.content -%}",
        "{%- if message.role == 'user' -%}",
        writer.output(form.user, "((opening if loop.first else '') + content)" if in_user else "content"),
        "{%- else -%}",
        *(_thoughts(form) if form.family in REASONING else ()),
        writer.output(form.assistant, "content"),
        "{%- if loop.last -%}{{- eos_token -}}{%- endif -%}" if form.eos_only_at_end and has_eos else "",
        "{%- endif -%}",
        "{%- endfor -%}",
    ]
    if form.family in REASONING:
        lines += [
            "{%- if add_generation_prompt and enable_thinking is defined and not enable_thinking -%}",
            f"{{{{- {quote(form.empty_thought)} -}}}}",
            "{%- endif -%}",
        ]
    return "\n".join(line for line in lines if line)


def quote(text: str) -> str:
    """A Jinja string literal."""
    for plain, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f"'{text}'"


def _thoughts(form: Format) -> list[str]:
    """Take thoughts out of `content` where they do not belong; a last answer without any gets empty ones."""
    opening, closing = (quote(word.strip()) for word in form.thought_words)
    return [
        f"{{%- set thinks = {opening} in content and {closing} in content -%}}",
        "{%- set unwanted = not loop.last or (enable_thinking is defined and not enable_thinking) -%}",
        "{%- if thinks and unwanted -%}",
        f"{{%- set halves = content.split({opening}, 1) -%}}",
        f"{{%- set rest = halves[1].split({closing}, 1)[1:] | join('') -%}}",
        "{%- set content = halves[0] + rest.lstrip('\\n') -%}",
        "{%- endif -%}",
        "{%- if loop.last and not (thinks and not unwanted) -%}",
        f"{{{{- {quote(form.empty_thought)} -}}}}",
        "{%- endif -%}",
    ]


class _Writer:
    """Pieces -> Jinja expressions."""

    def __init__(self, has_bos: bool, has_eos: bool) -> None:
        self._specials = {"bos_token": has_bos, "eos_token": has_eos}

    def joined(self, pieces: Sequence[Piece], content: str) -> str:
        """One expression for the pieces around `content`, itself an expression."""
        terms: list[str] = []
        for piece in pieces:
            if isinstance(piece, str):
                for number, part in enumerate(piece.split(CONTENT)):
                    terms += [content] if number else []
                    terms += [quote(part)] if part else []
            elif "token" in piece:
                terms.append(quote(piece["token"]))
            elif piece["special"] not in self._specials:
                terms.append(quote(piece["special"]))
            elif self._specials[piece["special"]]:
                terms.append(piece["special"])
        return " + ".join(terms) or "''"

    def output(self, pieces: Sequence[Piece], content: str) -> str:
        return f"{{{{- {self.joined(pieces, content)} -}}}}" if pieces else ""


if __name__ == "__main__":
    print(write_jinja(load_template(sys.argv[1] if len(sys.argv) > 1 else "chatml")))
