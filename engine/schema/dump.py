"""From arguments back to what a person writes: YAML, the words of a command line, the full resolved record.

`load(dump(args)) == args` for each form. Secrets are never dumped.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from typing import Any

import yaml

from engine.schema.arg import flatten, specs
from engine.schema.resolve import Resolved


def changed(args: Any) -> dict[str, Any]:
    """name -> value of everything that differs from its default, in the order of declaration."""
    declared = specs(type(args))
    values = flatten(args)
    return {
        name: _plain(values[name])
        for name, spec in declared.items()
        if values[name] != spec.default and not spec.secret
    }


def to_yaml(args: Any) -> str:
    """The YAML a person would keep: only what differs from the defaults, under a heading per group."""
    declared = specs(type(args))
    lines: list[str] = []
    group = ""
    for name, value in changed(args).items():
        if declared[name].group != group:
            group = declared[name].group
            lines.append(f"{'' if not lines else chr(10)}# {group}")
        lines.append(_yaml_item(name, value))
    return "\n".join(lines) + "\n"


def to_argv(command: str, args: Any) -> list[str]:
    """The words of the equivalent command: `tunesmith COMMAND --key value ...`."""
    words = ["tunesmith", command]
    for name, value in changed(args).items():
        text = _word(value)
        words.extend([f"--{name}={text}"] if text.startswith("--") else [f"--{name}", text])
    return words


def to_shell(argv: Sequence[str]) -> str:
    """`argv` for a POSIX shell, one argument a line. Quotes, `$`, newlines and any script survive."""
    lines = [" ".join(shlex.quote(word) for word in argv[:2])]
    index = 2
    while index < len(argv):
        pair = (
            argv[index : index + 2]
            if argv[index].startswith("--") and "=" not in argv[index]
            else argv[index : index + 1]
        )
        lines.append("  " + " ".join(shlex.quote(word) for word in pair))
        index += len(pair)
    return " \\\n".join(lines) + "\n"


def resolved_yaml(resolved: Resolved) -> str:
    """Every value in force. One we filled in carries its reason as a comment."""
    declared = specs(type(resolved.args))
    why = {reason.name: reason.why for reason in resolved.reasons}
    values = flatten(resolved.args)
    lines: list[str] = []
    for field in dataclasses.fields(resolved.args):
        lines.append(f"{'' if not lines else chr(10)}# {field.name}")
        for name, spec in declared.items():
            if spec.group == field.name and not spec.secret:
                if name in why:
                    lines.append(f"# {why[name]}:")
                lines.append(_yaml_item(name, _plain(values[name])))
    return "\n".join(lines) + "\n"


def _yaml_item(name: str, value: Any) -> str:
    """One `key: value`. Lists stay on one line; everything else is YAML's plain block form."""
    if isinstance(value, list):
        text: str = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=2**20)
        return f"{name}: {text.rstrip()}"
    text = yaml.safe_dump(
        {name: value}, allow_unicode=True, default_flow_style=False, width=2**20, sort_keys=False
    )
    return text.rstrip("\n")


def _plain(value: Any) -> Any:
    """The value as a person writes it: a list for a tuple, 5 for 5.0."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value


def _word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        odd = any("," in item or item != item.strip() or not item or item.startswith("[") for item in value)
        return json.dumps(value, ensure_ascii=False) if odd else ",".join(value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, float) else str(value)
