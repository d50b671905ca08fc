"""Who may import whom. The plan of the house, kept by reading every import in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

# Heavy libraries and where they may be imported; everywhere else they are forbidden, lazily or not.
HEAVY = ("torch", "transformers", "datasets", "peft", "trl", "accelerate", "tokenizers", "safetensors")
LIGHT_PLACES = (
    "engine.schema", "engine.jobs", "engine.paths", "engine.events", "engine.errors", "engine.env",
    "engine.cli",
    "engine.templates.base", "webui",
)  # fmt: skip

GROUND = {"errors", "env", "paths", "events", "schema"}
MAY_IMPORT = {
    "errors": set(),
    "env": {"errors"},
    "paths": {"env", "errors"},
    "events": {"errors"},
    "schema": {"errors", "env", "schema"},
    "jobs": GROUND | {"jobs"},
    "templates": GROUND | {"templates"},
    "data": GROUND | {"data", "models", "templates"},
    "models": GROUND | {"models", "templates"},
    "train": GROUND | {"train", "stages", "models", "data", "templates", "launch", "jobs"},
    "stages": GROUND | {"train", "models", "data", "templates", "rewards"},
    "launch": GROUND | {"launch", "jobs"},
    "infer": GROUND | {"infer", "models", "data", "templates"},
    "api": GROUND | {"api", "infer", "models", "templates", "data"},
    "evaluate": GROUND | {"evaluate", "infer", "models", "data", "templates", "train"},
    "export": GROUND | {"export", "models", "templates", "data"},
    "cli": {
        "schema",
        "errors",
        "env",
        "paths",
        "train",
        "evaluate",
        "export",
        "infer",
        "api",
        "jobs",
        "data",
    },
}
WEBUI_MAY_IMPORT = (
    "engine.jobs.client", "engine.schema", "engine.paths", "engine.events", "engine.errors", "engine.env",
)  # fmt: skip


def modules() -> list[Path]:
    return sorted(path for top in ("engine", "webui") for path in (REPO / top).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = list(path.relative_to(REPO).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, *, top_only: bool = False) -> Iterator[str]:
    nodes = ast.iter_child_nodes(tree) if top_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def parsed() -> list[tuple[str, ast.Module]]:
    return [(module_name(path), ast.parse(path.read_text(encoding="utf-8"))) for path in modules()]


def inside(name: str, place: str) -> bool:
    return name == place or name.startswith(place + ".")


def test_each_layer_imports_only_what_lies_below_it() -> None:
    wrong = []
    for name, tree in parsed():
        if not name.startswith("engine."):
            continue
        layer = name.split(".")[1]
        assert layer in MAY_IMPORT, f"{name}: a new layer needs a line in this test and in the README's map"
        for target in imports(tree):
            parts = target.split(".")
            if parts[0] == "webui" and name != "engine.cli":
                wrong.append(f"{name} imports {target}")
            if (
                parts[0] == "engine"
                and len(parts) > 1
                and (REPO / "engine" / parts[1]).exists() | (REPO / "engine" / f"{parts[1]}.py").exists()
                and parts[1] not in MAY_IMPORT[layer]
                and parts[1] != layer
            ):
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_stages_never_import_each_other() -> None:
    stages = [
        (name, tree) for name, tree in parsed() if inside(name, "engine.stages") and name != "engine.stages"
    ]
    wrong = [
        f"{name} imports {target}"
        for name, tree in stages
        for target in imports(tree)
        if inside(target, "engine.stages") and not inside(target, name) and target != "engine.stages"
    ]
    assert stages and not wrong, "\n".join(wrong)


def test_the_studio_knows_only_the_schema_and_the_job_client() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, tree in parsed()
        if inside(name, "webui")
        for target in imports(tree)
        if inside(target, "engine") and target not in ("engine", "engine.jobs")
        and not any(inside(target, place) for place in WEBUI_MAY_IMPORT)
    ]  # fmt: skip
    assert not wrong, "\n".join(wrong)


def test_no_heavy_library_on_the_ground_floor_or_in_the_studio() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, tree in parsed()
        if any(inside(name, place) for place in LIGHT_PLACES)
        for target in imports(tree)
        if target.split(".")[0] in (*HEAVY, "matplotlib")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("library", "places"),
    [
        ("gradio", ("webui",)),
        ("sqlite3", ("engine.jobs.store",)),
        ("subprocess", ("engine.jobs", "engine.launch")),
        ("signal", ("engine.jobs", "engine.launch")),
        ("pickle", ()),
    ],
)
def test_a_library_with_one_home(library: str, places: tuple[str, ...]) -> None:
    wrong = [
        name
        for name, tree in parsed()
        if not any(inside(name, place) for place in places)
        and any(inside(target, library) for target in imports(tree))
    ]
    assert not wrong, f"{library} belongs in {places}, found in {wrong}"


@pytest.mark.parametrize(
    ("attribute", "places"),
    [
        ("environ", ("engine.env", "engine.launch")),
        ("getenv", ("engine.env", "engine.launch")),
        ("kill", ("engine.jobs", "engine.launch")),
        ("killpg", ("engine.jobs", "engine.launch")),
    ],
)
def test_an_os_function_with_one_home(attribute: str, places: tuple[str, ...]) -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in parsed()
        if not any(inside(name, place) for place in places)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert not wrong, f"os.{attribute} belongs in {places}, found in {wrong}"


def test_no_import_cycles() -> None:
    trees = dict(parsed())
    edges = {
        name: {target for target in imports(tree, top_only=True) if target in trees and target != name}
        for name, tree in trees.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "cycle: " + " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in sorted(edges[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())
    assert done == set(trees)
