"""`tunesmith data list|preview|check|stats|detect|register|render`: look at datasets in a terminal.

Every verb prints text for people, or with --json the answer of service.py for programs. Arguments of training
(--template, --cutoff_len, ...) are spelt and checked as there. Exit codes: 0, 2 for a mistake or bad rows.
Try: tunesmith data --help
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import UserError

BAD_ROWS = 2
DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".gz")
ARGUMENT_FILES = (".yaml", ".yml")

EXAMPLES = """examples:
  tunesmith data list
  tunesmith data preview identity --model_name_or_path data/tiny-qwen3
  tunesmith data preview examples/demo.yaml --count 2 --packing true
  tunesmith data preview my.csv                       a file that is not registered: its format is guessed
  tunesmith data check my_set --template qwen3        every bad row, with file, row, column and reason
  tunesmith data stats my_set --model_name_or_path data/tiny-qwen3 --cutoff_len 1024
  tunesmith data detect my.csv
  tunesmith data register my.csv --name my_set --column prompt=question --column response=reply
  tunesmith data render --template qwen3 --json < conversation.json
"""

TRAINING = """Arguments of `tunesmith train` are taken too, from a YAML file and as words: {names}.
`tunesmith train --help all` says what they do."""


class _Parser(argparse.ArgumentParser):
    """Tells a mistake as every other command does."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}. `{self.prog} --help` shows how it is used.")


def main(words: Sequence[str]) -> int:
    """Run one verb and return the exit code. A UserError is the caller's to print."""
    options, rest = build_parser().parse_known_args(list(words))
    options.words = rest
    action: Callable[[argparse.Namespace], int] = options.action
    return action(options)


def build_parser() -> argparse.ArgumentParser:
    """The verbs and their options."""
    parser = _Parser(
        prog="tunesmith data",
        description="Look at datasets: what is there, what is wrong with it, what the model will see.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, action: Callable[[argparse.Namespace], int], help: str, *, trains: bool) -> _Parser:
        verb: _Parser = verbs.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=TRAINING.format(names=", ".join(_training_names())) if trains else None,
            allow_abbrev=False,
        )
        verb.set_defaults(action=action, trains=trains)
        verb.add_argument("--json", action="store_true", help="the answer as JSON")
        return verb

    _add_looking(add)
    _add_adding(add)
    verb = add(
        "render", _render, "render a conversation from standard input with a chat template", trains=True
    )
    verb.usage = "tunesmith data render --template NAME [--tokenizer PATH] [--json] [ARGUMENTS] < FILE"
    verb.add_argument(
        "--tokenizer", metavar="PATH", help="same as --model_name_or_path: adds token ids to the spans"
    )
    return parser


def _add_looking(add: Callable[..., _Parser]) -> None:
    usage = "tunesmith data {} [--json] [DATASET | FILE | ARGUMENTS.yaml] [ARGUMENTS]"
    verb = add("list", _list, "registered datasets, or those that hold a word", trains=False)
    verb.add_argument("search", nargs="*", help="words that the name or the file holds")
    verb.add_argument("--dataset_dir", default="data", help="folder that holds dataset_info.json (data)")

    verb = add("preview", _preview, "rows as the model sees them, what is learnt marked", trains=True)
    verb.usage = usage.format("preview")
    verb.add_argument(
        "--start", type=whole_number, default=0, metavar="N", help="leave out the first N rows (0)"
    )
    verb.add_argument("--count", type=whole_number, default=3, metavar="N", help="show N rows (3)")
    verb.add_argument("--tokens", action="store_true", help="show where tokens begin, too")
    verb.add_argument("--raw", action="store_true", help="the rows as they stand in their files")

    verb = add(
        "check", _check, "every row that cannot be used, and why; exit code 2 if there is one", trains=True
    )
    verb.usage = usage.format("check")
    verb.add_argument(
        "--show", type=whole_number, default=20, metavar="N", help="tell N of them in full (20)"
    )

    verb = add("stats", _stats, "token lengths, what is learnt, packing, steps", trains=True)
    verb.usage = usage.format("stats")
    verb.add_argument("--sample", type=positive_number, metavar="N", help="only the first N rows")


def _add_adding(add: Callable[..., _Parser]) -> None:
    verb = add("detect", _detect, "guess a file's format and the entry to register", trains=False)
    verb.add_argument("file")
    verb.add_argument(
        "--dataset_dir", default="data", help="folder the suggested name is to be new in (data)"
    )

    verb = add("register", _register, "add a file to dataset_info.json", trains=False)
    verb.add_argument("file", help="a data file; its format is guessed where options do not say it")
    verb.add_argument("--name", help="what the dataset is called (else: after the file)")
    verb.add_argument("--dataset_dir", default="data", help="folder that holds dataset_info.json (data)")
    verb.add_argument("--formatting", help="alpaca, sharegpt, openai or text")
    verb.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help="such as prompt=question; repeat it",
    )
    verb.add_argument(
        "--tag", action="append", default=[], metavar="TAG=WORD", help="such as user_tag=human; repeat it"
    )
    verb.add_argument(
        "--ranking", action="store_true", default=None, help="rows hold chosen and rejected answers"
    )
    verb.add_argument("--entry", help="the whole entry as JSON, in place of guess and options")
    verb.add_argument("--copy", action="store_true", help="copy the file into the dataset folder")
    verb.add_argument("--overwrite", action="store_true", help="replace an entry of that name")


def whole_number(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def positive_number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _training_names() -> list[str]:
    from engine.schema.arg import group_specs
    from engine.schema.data import DataArgs, TemplateArgs

    return ["model_name_or_path", *group_specs(TemplateArgs, "template"), *group_specs(DataArgs, "data")]


def given_arguments(words: Sequence[str]) -> dict[str, Any]:
    """What the words of preview, check and stats name: an argument file, a dataset, or a data file first;
    then arguments of training. Raises ArgError.
    """
    from engine.schema.load import read_argv

    words = list(words)
    first: dict[str, Any] = {}
    if words and not words[0].startswith("-") and not words[0].endswith(ARGUMENT_FILES):
        name = words[0]
        if "=" not in name or Path(name).is_file():
            words.pop(0)
            is_file = name.endswith(DATA_SUFFIXES) and Path(name).is_file()
            if name.endswith(DATA_SUFFIXES) and "/" in name and not is_file:
                raise UserError(f"no such file {name}")
            first = {"path": name} if is_file else {"dataset": name}
    given = {**read_argv("train", words), **first}
    if "path" in first:
        from engine.data.inspect.service import OPS

        found = OPS["detect"](path=first["path"])
        if found["problem"]:
            raise UserError(found["problem"])
        given.pop("dataset", None)
        given["entry"] = found["entry"]
    return given


def _ask(op: str, **arguments: Any) -> dict[str, Any]:
    from engine.data.inspect.service import OPS

    return OPS[op](**arguments)


def _print_json(value: Any) -> int:
    print(json.dumps(value, ensure_ascii=False, indent=1))
    return 0


def _no_more(options: argparse.Namespace) -> None:
    if options.words:
        raise UserError(
            f"{' '.join(options.words)}: not known here. `tunesmith data --help` lists the options."
        )


def _list(options: argparse.Namespace) -> int:
    from engine.data.inspect import printed

    _no_more(options)
    found = _ask("list", dataset_dir=options.dataset_dir, search=" ".join(options.search))
    return _print_json(found) if options.json else printed.print_list(found["datasets"])


def _preview(options: argparse.Namespace) -> int:
    from engine.data.inspect import printed

    given = given_arguments(options.words)
    if options.raw:
        found = _ask("raw", start=options.start, count=options.count, **given)
        return _print_json(found) if options.json else printed.print_raw(found["rows"])
    found = _ask("preview", start=options.start, count=options.count, **given)
    return _print_json(found) if options.json else printed.print_preview(found, tokens=options.tokens)


def _check(options: argparse.Namespace) -> int:
    from engine.data.inspect import printed

    found = _ask("check", show=options.show, **given_arguments(options.words))
    if options.json:
        _print_json(found)
    else:
        printed.print_check(found)
    return 0 if found["ok"] else BAD_ROWS


def _stats(options: argparse.Namespace) -> int:
    from engine.data.inspect import printed

    found = _ask("stats", sample=options.sample, **given_arguments(options.words))
    return _print_json(found) if options.json else printed.print_stats(found)


def _detect(options: argparse.Namespace) -> int:
    from engine.data.inspect import printed

    _no_more(options)
    found = _ask("detect", path=options.file, dataset_dir=options.dataset_dir)
    if found["problem"] and not options.json:
        raise UserError(found["problem"])
    if options.json:
        _print_json(found)
        return BAD_ROWS if found["problem"] else 0
    return printed.print_detected(found)


def _register(options: argparse.Namespace) -> int:
    _no_more(options)
    entry, name = _entry_of(options)
    if not options.copy:
        folder, file = Path(options.dataset_dir).resolve(), Path(options.file).resolve()
        inside = file.is_relative_to(folder)
        entry["file_name"] = str(file.relative_to(folder)) if inside else str(file)
    found = _ask(
        "register",
        dataset_dir=options.dataset_dir,
        name=name,
        entry=entry,
        source_path=options.file if options.copy else None,
        overwrite=options.overwrite,
    )
    if options.json:
        return _print_json(found)
    print(f"registered {found['name']}: {found['file']}")
    print(f"look at it: tunesmith data preview {found['name']} --dataset_dir {options.dataset_dir}")
    return 0


def _entry_of(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The entry to write and its name, from --entry, or from the guess with what the options say over it."""
    if options.entry is not None:
        try:
            entry = json.loads(options.entry)
        except ValueError as error:
            raise UserError(f"--entry is not JSON: {error}") from None
        if not isinstance(entry, dict):
            raise UserError('--entry must be an object such as {"formatting": "alpaca"}')
        return entry, options.name or Path(options.file).stem
    found = _ask("detect", path=options.file, dataset_dir=options.dataset_dir)
    if found["problem"]:
        raise UserError(found["problem"])
    entry = dict(found["entry"])
    if options.formatting and options.formatting != entry.get("formatting", "alpaca"):
        entry = {"formatting": options.formatting}
    columns, tags = _pairs(options.column, "--column"), _pairs(options.tag, "--tag")
    if columns:
        entry["columns"] = {**entry.get("columns", {}), **columns}
    if tags:
        entry["tags"] = {**entry.get("tags", {}), **tags}
    if options.ranking:
        entry["ranking"] = True
    return entry, options.name or found["name"]


def _pairs(words: Sequence[str], option: str) -> dict[str, str]:
    pairs = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"{option} {word}: expected NAME=VALUE")
        pairs[key] = value
    return pairs


def _render(options: argparse.Namespace) -> int:
    from engine.data.inspect import printed
    from engine.schema.load import read_argv

    given = read_argv("train", options.words)
    if options.tokenizer:
        given["model_name_or_path"] = options.tokenizer
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
        if not text.strip():
            raise UserError('standard input is empty; expected {"messages": [...]}')
        conversation = json.loads(text)
    except UnicodeDecodeError as error:
        raise UserError(f"standard input: byte {error.start + 1} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise UserError(f"standard input: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise UserError("standard input: nested too deeply") from None
    found = _ask("render", conversation=conversation, **given)["spans"]
    return _print_json(found) if options.json else printed.print_spans(found)
