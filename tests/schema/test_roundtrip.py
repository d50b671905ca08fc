"""`load(dump(args)) == args` for YAML and for a real shell, over arbitrary values."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.env import Gpu, Machine
from engine.schema import dump
from engine.schema.arg import Arg, build, flatten, specs
from engine.schema.commands import COMMANDS, TrainArgs
from engine.schema.load import load_mapping
from engine.schema.resolve import resolve

NONE_WORDS = ("", "none", "null", "~")
TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t'\"$`\\"), min_size=1, max_size=20
)
PLAIN = TEXT.filter(lambda text: text.strip().lower() not in NONE_WORDS)
ITEM = TEXT.filter(lambda text: text.strip() != "")
CPU = Machine(cpu_count=2, cpu_bf16=False, memory_bytes=2**34)


def values_of(spec: Arg) -> st.SearchStrategy:
    low, high = (spec.ge if spec.ge is not None else spec.gt), (spec.le if spec.le is not None else spec.lt)
    base = {
        "bool": st.booleans(),
        "int": st.integers(None if low is None else int(low) + 1, None if high is None else int(high) - 1),
        "float": st.floats(
            low,
            high,
            allow_nan=False,
            allow_infinity=False,
            exclude_min=low is not None,
            exclude_max=high is not None,
        ),
        "str": st.sampled_from(spec.choices) if spec.choices else PLAIN,
        "list": st.lists(ITEM, max_size=3).map(tuple),
        "dict": st.dictionaries(PLAIN, st.integers() | PLAIN, max_size=2),
    }[spec.kind]
    return base | st.none() if spec.optional else base


def args_of(command: str) -> st.SearchStrategy:
    args_class = COMMANDS[command].args_class
    some = st.fixed_dictionaries({}, optional={n: values_of(s) for n, s in specs(args_class).items()})
    return some.map(lambda values: build(args_class, values))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*COMMANDS]).flatmap(lambda name: st.tuples(st.just(name), args_of(name))))
def test_yaml_and_words_parse_back(case: tuple) -> None:
    command, args = case
    from_yaml = load_mapping(command, yaml.safe_load(dump.to_yaml(args)) or {}, rules=False)
    assert from_yaml.args == args
    words = dump.to_argv(command, args)
    assert words[:2] == ["tunesmith", command]


@settings(max_examples=60, deadline=None)
@given(args_of("train"))
def test_words_parse_back_to_identical_arguments(args: TrainArgs) -> None:
    from engine.schema.load import _read_words

    words = dump.to_argv("train", args)
    assert load_mapping("train", _read_words("train", words[2:]), rules=False).args == args


@settings(max_examples=25, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4))
def test_a_real_shell_reads_the_preview_as_we_meant_it(texts: list[str]) -> None:
    argv = ["tunesmith", "train", *[word for text in texts for word in ("--default_system", text)]]
    program = "import sys, json; print(json.dumps(sys.argv[1:], ensure_ascii=True))"
    script = f'tunesmith() {{ "{sys.executable}" -c {program!r} "$@"; }}\n' + dump.to_shell(argv)
    out = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) == argv[1:]


def test_the_resolved_record_loads_to_the_resolved_arguments() -> None:
    loaded = load_mapping(
        "train", {"model_name_or_path": "a b", "dataset": "x", "val_size": 0.1, "eval_strategy": "steps"}
    )
    resolved = resolve("train", loaded.args, CPU)
    text = dump.resolved_yaml(resolved)
    assert load_mapping("train", yaml.safe_load(text)).args == resolved.args
    assert "# twice lora_rank:\nlora_alpha: 16" in text


def test_args_yaml_holds_only_what_differs() -> None:
    args = load_mapping("train", {"model_name_or_path": "m", "dataset": "d", "learning_rate": 5e-5}).args
    assert yaml.safe_load(dump.to_yaml(args)) == {"model_name_or_path": "m", "dataset": ["d"]}


def reasons(machine: Machine, **given: object) -> dict:
    args = load_mapping("train", {"model_name_or_path": "m", "dataset": "d", **given}).args
    resolved = resolve("train", args, machine)
    assert flatten(args)["model_name_or_path"] == "m"
    return {reason.name: reason.value for reason in resolved.reasons}


def test_bf16_becomes_what_the_machine_can_run() -> None:
    old = Machine(2, False, 2**34, (Gpu(0, "GPU-a", "T4", 2**34, (7, 5)),))
    new = Machine(2, False, 2**34, (Gpu(0, "GPU-a", "H200", 2**37, (9, 0)),))
    assert reasons(CPU, bf16=True)["bf16"] is False
    assert reasons(CPU, tf32=True)["tf32"] is None
    assert reasons(CPU, dataloader_num_workers=16)["dataloader_num_workers"] == 2
    assert "dataloader_num_workers" not in reasons(CPU, dataloader_num_workers=2)
    assert "bf16" not in reasons(Machine(2, True, 2**34), bf16=True)
    assert {"bf16": False, "fp16": True}.items() <= reasons(old, bf16=True).items()
    assert "bf16" not in reasons(new, bf16=True)


def test_open_values_are_filled_with_reasons() -> None:
    found = reasons(CPU, lora_rank=4, val_size=0.1, eval_strategy="steps", logging_steps=7)
    assert found["lora_alpha"] == 8 and found["eval_steps"] == 7 and found["use_cpu"] is True
    assert found["output_dir"].startswith("saves/m/lora/") and found["metric_for_best_model"] == "eval_loss"


@pytest.mark.parametrize(
    ("metric", "greater"),
    [(None, False), ("eval_loss", False), ("perplexity", False), ("eval_accuracy", True)],
)
def test_what_is_better_follows_from_the_metric(metric: str | None, greater: bool) -> None:
    found = reasons(CPU, val_size=0.1, eval_strategy="steps", metric_for_best_model=metric)
    assert found["greater_is_better"] is greater
