"""A named format written as a Jinja chat template, so that a saved tokenizer carries it wherever it goes:
system texts, tools, calls, results and thoughts.

It renders what base.render_turns and base.render_prompt render. The variables enable_thinking and
preserve_thinking mean what the arguments of those names mean, and default to what the model was trained with.
Try: python -m engine.templates.jinja qwen3
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from engine.templates.base import CONTENT, REASONING, Format, Piece, load_template, load_tool_format

ROLES = (
    "this chat template takes a system message, then messages of the user or results of tools in turn with "
    "answers of the assistant"
)
FOLLOWS = (
    "{'': ['user'], 'user': ['assistant'], 'assistant': ['user', 'tool'], 'tool': ['tool', 'assistant']}"
)


def write_jinja(
    form: Format,
    *,
    tool_format: str | None = None,
    default_system: str = "",
    has_bos: bool = True,
    has_eos: bool = True,
    thinking: bool | None = True,
    preserve_thinking: bool = False,
) -> str:
    """The template's source. tool_format and default_system replace the format's own; has_bos, has_eos: the
    tokenizer has such a token; thinking, preserve_thinking: what the variables default to.
    """
    writer = _Writer(has_bos, has_eos)
    tools = load_tool_format(tool_format or form.tool_format)
    in_user = form.family == "system_in_first_user"
    reasoning = form.family in REASONING
    lines = [
        tools.jinja.rstrip("\n"),
        *(_defaults(thinking, preserve_thinking) if reasoning else ()),
        f"{{%- set system = {quote(default_system or form.default_system)} -%}}",
        "{%- if messages and messages[0].role == 'system' -%}",
        "{%- set system = messages[0].content or system -%}",
        "{%- set messages = messages[1:] -%}",
        "{%- endif -%}",
        writer.output(form.prefix, "''"),
        "{%- set described = describe_tools(tools) if tools else '' -%}",
        "{%- set described = described if system else described.lstrip('\\n') -%}"
        if form.family == "chat_strip_tools_newlines"
        else "",
        "{%- set system = system + described -%}",
        f"{{%- set opening = {writer.joined(form.system, 'system')} if system else '' -%}}",
        "" if in_user else "{{- opening -}}",
        *(_last_question() if reasoning else ()),
        "{%- for message in messages -%}",
        f"{{%- if message.role not in {FOLLOWS}[loop.previtem.role if loop.previtem else ''] -%}}",
        f"{{{{- raise_exception({quote(ROLES)}) -}}}}",
        "{%- endif -%}",
        "{%- set content = message.content or '' -%}",
        "{%- if message.role == 'user' -%}",
        writer.output(form.user, "((opening if loop.first else '') + content)" if in_user else "content"),
        "{%- elif message.role == 'tool' -%}",
        *_result(form, writer),
        "{%- else -%}",
        *_answer(form, writer, tools.lead),
        "{%- if loop.last -%}{{- eos_token -}}{%- endif -%}" if form.eos_only_at_end and has_eos else "",
        "{%- endif -%}",
        "{%- endfor -%}",
    ]
    if reasoning:
        lines.append("{%- if add_generation_prompt and not thinking -%}")
        lines += [f"{{{{- {quote(form.empty_thought)} -}}}}", "{%- endif -%}"]
    return "\n".join(line for line in lines if line)


def quote(text: str) -> str:
    """A Jinja string literal."""
    for plain, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f"'{text}'"


def _defaults(thinking: bool | None, preserve_thinking: bool) -> list[str]:
    word = str(thinking).lower()
    kept = str(preserve_thinking).lower()
    return [
        f"{{%- set thinking = enable_thinking if enable_thinking is defined else {word} -%}}",
        f"{{%- set preserve = preserve_thinking if preserve_thinking is defined else {kept} -%}}",
    ]


def _last_question() -> list[str]:
    """Where the user spoke last: answers before it lose their thoughts."""
    return [
        "{%- set last = namespace(question=0) -%}",
        "{%- for message in messages -%}",
        "{%- if message.role == 'user' -%}{%- set last.question = loop.index0 -%}{%- endif -%}",
        "{%- endfor -%}",
    ]


def _result(form: Format, writer: _Writer) -> list[str]:
    """One tool result; several in a row share a turn."""
    before, after = writer.halves(form.observation)
    between = writer.joined(form.between_results, "''")
    return [
        f"{{{{- {between} if loop.previtem.role == 'tool' else {before} -}}}}",
        "{{- content -}}",
        f"{{{{- '' if loop.nextitem and loop.nextitem.role == 'tool' else {after} -}}}}",
    ]


def _answer(form: Format, writer: _Writer, lead: str) -> list[str]:
    """The assistant's words and calls."""
    opening, closing = form.thought_words
    thought = "message.reasoning_content" + (".lstrip('\\n')" if opening.endswith("\n") else "")
    thought += ".rstrip('\\n')" if closing.startswith("\n") else ""
    lines = [
        "{%- if message.reasoning_content -%}",
        f"{{%- set content = {quote(opening)} + {thought} + {quote(closing)} + content -%}}",
        "{%- endif -%}",
        *(_place_thought(form) if form.family in REASONING else ()),
        "{%- if message.tool_calls -%}",
        *_find_words(form),
    ]
    if form.function == form.assistant:
        content = f"content + ({quote(lead)} if words else '') + write_calls(message.tool_calls)"
        lines.append(writer.output(form.function, content))
    else:
        head = writer.halves(form.assistant)[0]
        lines.append("{{- content[:content | length - words | length] -}}")
        lines.append(f"{{{{- {head} + words + {quote(lead)} if words else '' -}}}}")
        lines.append(writer.output(form.function, "write_calls(message.tool_calls)"))
    return [*lines, "{%- else -%}", writer.output(form.assistant, "content"), "{%- endif -%}"]


def _place_thought(form: Format) -> list[str]:
    """Take thoughts out of `content` where they do not belong; an answer that needs one gets an empty one."""
    opening, closing = (quote(word.strip()) for word in form.thought_words)
    return [
        "{%- set bare = not preserve and loop.index0 < last.question -%}",
        f"{{%- set has_thought = {opening} in content and {closing} in content -%}}",
        "{%- if has_thought and (bare or thinking == false) -%}",
        f"{{%- set halves = content.split({opening}, 1) -%}}",
        f"{{%- set rest = halves[1].split({closing}, 1)[1:] | join('') -%}}",
        "{%- set content = halves[0] + rest.lstrip('\\n') -%}",
        "{%- set has_thought = false -%}",
        "{%- endif -%}",
        "{%- if not bare and not has_thought -%}",
        f"{{{{- {quote(form.empty_thought)} -}}}}",
        "{%- endif -%}",
    ]


def _find_words(form: Format) -> list[str]:
    """The `words` of `content` that stand behind its thought."""
    opening, closing = (quote(word.strip()) for word in form.thought_words)
    return [
        "{%- set words = content -%}",
        f"{{%- set inside = content.split({opening}, 1)[1:] | join('') -%}}",
        f"{{%- if {closing} in inside -%}}",
        f"{{%- set words = inside.split({closing}, 1)[1].lstrip('\\n') -%}}",
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

    def halves(self, pieces: Sequence[Piece]) -> tuple[str, str]:
        """Expressions for what stands before and behind the content."""
        number = next(i for i, piece in enumerate(pieces) if isinstance(piece, str) and CONTENT in piece)
        before, _, after = str(pieces[number]).partition(CONTENT)
        head, tail = [*pieces[:number], before], [after, *pieces[number + 1 :]]
        return self.joined(head, ""), self.joined(tail, "")

    def output(self, pieces: Sequence[Piece], content: str) -> str:
        return f"{{{{- {self.joined(pieces, content)} -}}}}" if pieces else ""


if __name__ == "__main__":
    print(write_jinja(load_template(sys.argv[1] if len(sys.argv) > 1 else "chatml")))
