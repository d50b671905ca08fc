"""Sizes, openings, examples and reference pages: what keeps the house easy to see."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

from engine.schema import docs
from engine.schema.arg import specs
from engine.schema.commands import COMMANDS
from engine.schema.load import load_mapping, read_file

REPO = Path(__file__).resolve().parents[2]
PRODUCT = sorted(path for top in ("engine", "webui") for path in (REPO / top).rglob("*.py"))


def test_files_and_functions_stay_small() -> None:
    wrong = []
    for path in PRODUCT:
        text = path.read_text(encoding="utf-8")
        where = path.relative_to(REPO)
        if text.count("\n") > 500:
            wrong.append(f"{where}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                size = (node.end_lineno or 0) - node.lineno + 1
                if size > 60:
                    wrong.append(f"{where}:{node.lineno} {node.name}: {size} lines")
    assert not wrong, "\n".join(wrong)


def test_every_file_opens_with_what_it_is() -> None:
    bare = [
        str(path.relative_to(REPO))
        for path in PRODUCT
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not bare, bare


def test_every_example_loads() -> None:
    examples = sorted((REPO / "examples").rglob("*.yaml"))
    assert examples
    for path in examples:
        loaded = load_mapping(example_command(path), read_file(path))
        assert loaded.args, path


def example_command(path: Path) -> str:
    """An example says in its first line how it is run: `# tunesmith COMMAND examples/...`."""
    match = re.match(r"# tunesmith (\w+) ", path.read_text(encoding="utf-8"))
    assert match, f"{path}: its first line is `# tunesmith COMMAND examples/NAME.yaml`"
    return match.group(1)


def test_the_argument_reference_is_current() -> None:
    assert (REPO / "docs" / "arguments.md").read_text(encoding="utf-8") == docs.argument_table(), (
        "run `make docs`"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_says_what_it_is(command: str) -> None:
    for name, spec in specs(COMMANDS[command].args_class).items():
        assert spec.help.endswith((".", ")")) and spec.label, name
        assert spec.label[0].isupper() or spec.label in ("bf16", "fp16"), name


def test_known_arguments_are_all_of_a_shape() -> None:
    known = json.loads((REPO / "engine/schema/known.json").read_text(encoding="utf-8"))
    assert len(known) > 350 and "learning_rate" in known


def test_nothing_generated_or_secret_is_tracked() -> None:
    names = subprocess.run(
        ["git", "ls-files"], cwd=REPO, capture_output=True, text=True, check=True
    ).stdout.split()
    wrong = [
        name
        for name in names
        if name.startswith(("saves/", ".venv/")) or name.endswith((".pyc", ".pyi", ".env"))
    ]
    assert names and not wrong, wrong
