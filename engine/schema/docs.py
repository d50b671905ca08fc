"""Help pages and the argument reference, made from the declarations. Try: tunesmith train --help"""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator
from typing import Any

from engine.schema.arg import Arg, specs
from engine.schema.commands import COMMANDS

WIDTH = 100
INDENT = 30


def command_help(name: str, *, everything: bool) -> str:
    """What `tunesmith NAME --help` prints. `everything`: the expert tier too."""
    command = COMMANDS[name]
    hidden = sum(1 for spec in specs(command.args_class).values() if spec.tier == "expert")
    lines = [
        f"usage: tunesmith {name} [FILE.yaml|FILE.json] [--key value | key=value] ...",
        "",
        command.help,
        f"example: {command.example}",
        "",
        "Later words win over the file. Lists are separated by commas; null empties a value.",
    ]
    if name == "train":
        lines.append("--dry_run prints every resolved value with its reason, and stops.")
    for group, members in _groups(command.args_class).items():
        shown = [spec for spec in members if everything or spec.tier != "expert"]
        if shown:
            lines += ["", f"{group}:"]
            lines += [line for spec in shown for line in _flag_lines(spec)]
    if hidden and not everything:
        lines += ["", f"{hidden} more, rarely used: tunesmith {name} --help all"]
    return "\n".join(lines) + "\n"


def overview() -> str:
    """What `tunesmith help` prints."""
    lines = [
        "usage: tunesmith COMMAND [ARGUMENTS]",
        "",
        "Fine-tune language models, in a browser or in a shell.",
        "",
    ]
    entries = {name: command.help for name, command in COMMANDS.items()}
    entries |= {
        "data": "List, preview, check, measure and register datasets.",
        "jobs": "List, show, follow, stop, resume and remove runs.",
        "env": "Versions and devices, for a bug report.",
        "version": "The version.",
        "help": "This page; `tunesmith help COMMAND` for one command.",
    }
    lines += [f"  {name:<10}{text}" for name, text in entries.items()]
    lines += ["", "Files, flags and dataset_info.json of LLaMA-Factory run unchanged."]
    return "\n".join(lines) + "\n"


def argument_table() -> str:
    """docs/arguments.md: every argument of every command."""
    lines = [
        "# Arguments",
        "",
        "Made from the declarations in `engine/schema/` by `python -m engine.schema.docs > "
        "docs/arguments.md`;",
        "a test keeps this page equal to them. Every argument is a flag (`--name value`), a YAML or JSON "
        "key, and a field",
        "of the studio's form.",
    ]
    for name, command in COMMANDS.items():
        lines += ["", f"## tunesmith {name}", "", command.help, ""]
        for group, members in _groups(command.args_class).items():
            lines += [f"### {group}", "", "| name | value | default | meaning |", "|---|---|---|---|"]
            for spec in members:
                lines.append(f"| `{spec.name}` | {spec.rule()} | `{_shown(spec.default)}` | {spec.help} |")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _groups(args_class: type) -> dict[str, list[Arg]]:
    members: dict[str, list[Arg]] = {field.name: [] for field in dataclasses.fields(args_class)}
    for spec in specs(args_class).values():
        members[spec.group].append(spec)
    return members


def _flag_lines(spec: Arg) -> Iterator[str]:
    head = f"  --{spec.name}"
    text = f"{spec.help} [{spec.rule()}; default {_shown(spec.default)}]"
    body = textwrap.wrap(text, WIDTH - INDENT)
    if len(head) >= INDENT - 1:
        yield head
    else:
        yield head.ljust(INDENT) + body.pop(0)
    for line in body:
        yield " " * INDENT + line


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)


if __name__ == "__main__":
    print(argument_table(), end="")
