"""From what a person wrote (words of a command line, a YAML or JSON file, a form's mapping) to frozen
arguments.

Every way in ends in `load_mapping`, so every way in is checked alike, and all problems come in one report.
Try: python -c "from engine.schema.load import load_argv; load_argv('train', ['stage=bogus'])"
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from engine.errors import ArgError, Problem, UserError
from engine.schema.aliases import LATER_CHOICES, asks_for_nothing, known_arguments, modernise, refusal
from engine.schema.arg import build, specs
from engine.schema.commands import COMMANDS
from engine.schema.rules import broken_rules

FILE_ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Loaded:
    """Checked arguments of one command. `notes` are sentences a person should see once."""

    command: str
    args: Any
    notes: tuple[str, ...] = ()


def load_argv(command: str, argv: Sequence[str]) -> Loaded:
    """`[FILE] [key=value | --key value | --key=value | --flag] ...`; later words win. Raises ArgError,
    UserError.
    """
    return load_mapping(command, read_argv(command, argv))


def read_argv(command: str, argv: Sequence[str]) -> dict[str, Any]:
    """The words of `load_argv` as one flat mapping, not checked yet. Raises ArgError, UserError."""
    words = list(argv)
    given: dict[str, Any] = {}
    if words and not words[0].startswith("--") and words[0].endswith(FILE_ENDINGS):
        given.update(read_file(Path(words.pop(0))))
    return {**given, **_read_words(command, words)}


def load_mapping(command: str, given: Mapping[str, Any], *, rules: bool = True) -> Loaded:
    """Check a flat mapping. `rules=False` checks single values only (a form still being filled in)."""
    fresh, notes, problems = modernise(given)
    declared = specs(COMMANDS[command].args_class)
    values: dict[str, Any] = {}
    for name, raw in fresh.items():
        if name in declared:
            try:
                values[name] = _coerced(declared[name], raw)
            except ValueError as error:
                later = raw in LATER_CHOICES.get(name, ())
                known = f"{raw} is known from LLaMA-Factory but not supported yet. It must be "
                problems.append(Problem(name, f"{known}{declared[name].rule()}." if later else str(error)))
        else:
            note, problem = _judge_stranger(command, name, raw)
            notes.extend([note] if note else [])
            problems.extend([problem] if problem else [])
    args = build(COMMANDS[command].args_class, values)
    if rules:
        wrong = {problem.field for problem in problems}
        problems.extend(problem for problem in broken_rules(args) if problem.field not in wrong)
    if problems:
        raise ArgError(problems)
    return Loaded(command, args, tuple(notes))


def _coerced(spec: Any, raw: Any) -> Any:
    """A null for something that must have a value means: as if it were not said."""
    if raw is None and not spec.optional:
        return spec.default
    return spec.coerce(raw)


def _judge_stranger(command: str, name: str, raw: Any) -> tuple[str | None, Problem | None]:
    """A name this command does not have: another command's, LLaMA-Factory's, or nobody's."""
    elsewhere = [other for other, entry in COMMANDS.items() if name in specs(entry.args_class)]
    if elsewhere:
        return f"{name} is not used by `tunesmith {command}` (it belongs to {', '.join(elsewhere)}).", None
    if name in known_arguments():
        return None, (None if asks_for_nothing(name, raw) else Problem(name, refusal(name)))
    names = [*specs(COMMANDS[command].args_class), *known_arguments()]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    meant = f"Did you mean {near[0]}?" if near else f"`tunesmith {command} --help` lists the arguments."
    return None, Problem(name, f"is not an argument. {meant}")


def read_file(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. Raises UserError with file, line and column where it cannot be
    read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}. Give the path of a YAML or JSON file of arguments."
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None
    return parse_text(text, name=str(path), is_json=str(path).endswith(".json"))


def parse_text(text: str, *, name: str, is_json: bool = False) -> dict[str, Any]:
    """The mapping in a YAML or JSON text; `name` is what errors call it."""
    try:
        content = json.loads(text) if is_json else yaml.load(text, Loader=_UniqueKeyLoader)
    except json.JSONDecodeError as error:
        raise UserError(f"{name}, line {error.lineno}, column {error.colno}: {error.msg}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{name}{place}: {error.problem or 'not valid YAML'}.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not valid YAML ({error}).") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{name}: it must hold a mapping of argument names to values.")
    return content


class _UniqueKeyLoader(yaml.SafeLoader):
    """A key given twice is a mistake a person wants to hear of, not a silent last-one-wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key} is given twice", key_node.start_mark
                )
            if isinstance(key, str):
                seen.add(key)
        return super().construct_mapping(node, deep)


def _read_words(command: str, words: Sequence[str]) -> dict[str, Any]:
    """Flags and key=value words to a mapping of texts. A list argument may be followed by several words."""
    declared = specs(COMMANDS[command].args_class)
    given: dict[str, Any] = {}
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if not word.startswith("--"):
            key, equals, value = word.partition("=")
            if not equals or not key.isidentifier():
                raise ArgError([Problem("", _stray_word(command, word))])
            given[key] = value
            continue
        key, equals, value = word[2:].partition("=")
        key = key.replace("-", "_")
        if equals:
            given[key] = value
            continue
        values: list[str] = []
        is_list = key in declared and declared[key].kind == "list"
        while index < len(words) and not words[index].startswith("--") and (is_list or not values):
            if is_list and values and words[index].partition("=")[0] in declared and "=" in words[index]:
                break
            values.append(words[index])
            index += 1
        given[key] = "true" if not values else values[0] if len(values) == 1 else values
    return given


def _stray_word(command: str, word: str) -> str:
    if word.endswith(FILE_ENDINGS):
        return f"{word}: an argument file comes first: tunesmith {command} {word} ..."
    return f"{word!r} is neither a file, nor --key value, nor key=value. See `tunesmith {command} --help`."
