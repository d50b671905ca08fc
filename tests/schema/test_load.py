"""Every way in is checked alike, and every problem is in one report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import ArgError, UserError
from engine.schema.arg import flatten
from engine.schema.load import load_argv, load_mapping, read_argv, read_file

BASE = {"model_name_or_path": "m", "dataset": "d"}


def problems(given: dict, command: str = "train") -> dict[str, str]:
    with pytest.raises(ArgError) as caught:
        load_mapping(command, given)
    return {problem.field: problem.message for problem in caught.value.problems}


def load(**given: object) -> dict:
    return flatten(load_mapping("train", {**BASE, **given}).args)


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("cutoff_len", "8", 8), ("cutoff_len", 8.0, 8), ("learning_rate", "1e-4", 1e-4),
        ("learning_rate", 1, 1.0),
        ("packing", "true", True), ("packing", "off", False), ("packing", None, None),
        ("packing", "null", None),
        ("dataset", "a, b,c", ("a", "b", "c")), ("dataset", ["a", "b"], ("a", "b")),
        ("dataset", '["a,b"]', ("a,b",)),
        ("lr_scheduler_kwargs", '{"min_lr": 1e-6}', {"min_lr": 1e-6}), ("max_samples", "None", None),
        ("eval_strategy", False, "no"), ("cutoff_len", None, 2048),
    ],
)  # fmt: skip
def test_values_come_out_in_their_declared_type(name: str, raw: object, value: object) -> None:
    loaded = load(**{name: raw})
    assert loaded[name] == value and type(loaded[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "rule"),
    [
        ("stage", "bogus", "one of sft"),
        ("stage", "dpo", "dpo is known from LLaMA-Factory but not supported yet. It must be one of sft."),
        ("learning_rate", "abc", "a number > 0"),
        ("learning_rate", "nan", "a number > 0"),
        ("learning_rate", 0, "a number > 0"),
        ("cutoff_len", "8.5", "a whole number >= 4"),
        ("cutoff_len", True, "a whole number >= 4"),
        ("lora_dropout", 1, ">= 0 and < 1"),
        ("packing", "maybe", "true or false"),
        ("lr_scheduler_kwargs", "{", "not valid JSON"),
        ("finetuning_type", "qlora", "one of lora, freeze, full"),
        ("dataset", {"a": 1}, "a list"),
    ],
)
def test_a_bad_value_names_its_rule(name: str, raw: object, rule: str) -> None:
    found = problems({**BASE, name: raw})
    assert rule in found[name]
    assert list(found) == [name]


def test_all_problems_come_together() -> None:
    found = problems({"stage": "bogus", "learning_rate": "abc", "datset": "x", "quantization_bit": 4})
    assert set(found) == {
        "stage",
        "learning_rate",
        "datset",
        "quantization_bit",
        "model_name_or_path",
        "dataset",
    }
    assert "Did you mean dataset?" in found["datset"]
    assert "not supported yet" in found["quantization_bit"]


def test_a_known_stranger_is_refused_only_when_it_asks_for_something() -> None:
    load(fp8=False, quantization_bit=None, use_galore="false", image_max_pixels=589824)
    assert "not supported yet" in problems({**BASE, "use_galore": True})["use_galore"]


def test_another_commands_argument_is_named_once() -> None:
    loaded = load_mapping("export", {"model_name_or_path": "m", "export_dir": "o", "finetuning_type": "lora"})
    assert loaded.notes == ("finetuning_type is not used by `tunesmith export` (it belongs to train).",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"warmup_ratio": 0.1}, {"warmup_steps": 0.1}),
        ({"warmup_ratio": 0.1, "warmup_steps": 20}, {"warmup_steps": 20.0}),
        ({"warmup_ratio": 0.1, "warmup_steps": 0}, {"warmup_steps": 0.1}),
        ({"evaluation_strategy": "steps", "val_size": 0.1}, {"eval_strategy": "steps"}),
        ({"group_by_length": True}, {"train_sampling_strategy": "group_by_length"}),
        ({"group_by_length": False}, {"train_sampling_strategy": "random"}),
        ({"no_cuda": True}, {"use_cpu": True}),
        ({"adafactor": "true"}, {"optim": "adafactor"}),
        ({"flash_attn": "fa2"}, {"flash_attn": "auto"}),
        ({"overwrite_output_dir": True}, {"overwrite_output_dir": True}),
        ({"per_gpu_train_batch_size": 3}, {"per_device_train_batch_size": 3}),
    ],
)
def test_old_names_mean_what_they_meant(old: dict, new: dict) -> None:
    loaded = load(**old)
    assert {name: loaded[name] for name in new} == new


@pytest.mark.parametrize("name", ["logging_dir", "save_safetensors", "use_fast_tokenizer", "fp16_opt_level"])
def test_a_name_without_effect_is_said_to_have_none(name: str) -> None:
    loaded = load_mapping("train", {**BASE, name: "x"})
    assert len(loaded.notes) == 1 and name in loaded.notes[0]


def test_old_and_new_name_may_not_disagree() -> None:
    found = problems({**BASE, "val_size": 0.1, "evaluation_strategy": "steps", "eval_strategy": "epoch"})
    assert "old name of eval_strategy" in found["evaluation_strategy"]


def test_a_bad_warmup_ratio_is_a_problem() -> None:
    assert "warmup_steps" in problems({**BASE, "warmup_ratio": 5})["warmup_ratio"]
    assert "share" in problems({**BASE, "warmup_ratio": "abc"})["warmup_ratio"]


def test_words_override_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "model_name_or_path: m\ndataset: [x, y]\nlearning_rate: 1e-4\ncutoff_len: '16'\n", encoding="utf-8"
    )
    args = load_argv(
        "train", [str(path), "learning_rate=2e-4", "--cutoff_len", "32", "--packing", "--max-samples=5"]
    ).args
    values = flatten(args)
    assert values["learning_rate"] == 2e-4 and values["cutoff_len"] == 32 and values["packing"] is True
    assert values["dataset"] == ("x", "y") and values["max_samples"] == 5


def test_flags_take_lists_negative_numbers_and_values_that_look_like_flags() -> None:
    words = [
        "--model_name_or_path",
        "m",
        "--dataset",
        "a",
        "b",
        "--max_steps",
        "-1",
        "--default_system=--help me",
    ]
    values = flatten(load_argv("train", words).args)
    assert (
        values["dataset"] == ("a", "b")
        and values["max_steps"] == -1
        and values["default_system"] == "--help me"
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: [1\nb: 2\n", "line 2, column 2"),
        ("a.yaml", "a: 1\na: 2\n", "line 2, column 1: a is given twice"),
        ("a.yaml", "- a\n- b\n", "it must hold a mapping"),
        ("a.json", '{"a": 1,}', "line 1, column 9"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_file(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_missing_file_and_a_file_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_file(tmp_path / "no.yaml")
    (tmp_path / "b.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(UserError, match="byte 3 is not UTF-8"):
        read_file(tmp_path / "b.yaml")


def test_json_files_and_byte_order_marks(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("\ufeff" + json.dumps({**BASE, "bf16": True}), encoding="utf-8")
    assert flatten(load_argv("train", [str(path)]).args)["bf16"] is True


def test_a_stray_word_is_an_error() -> None:
    with pytest.raises(ArgError, match="comes first"):
        load_argv("train", ["--dataset=d", "x=1", "late.yaml"])
    with pytest.raises(ArgError, match="neither a file"):
        load_argv("train", ["nonsense"])


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"val_size": 0.1, "eval_dataset": "e"}, "val_size"),
        ({"val_size": 2.5}, "val_size"),
        ({"eval_strategy": "steps"}, "eval_strategy"),
        ({"load_best_model_at_end": True}, "load_best_model_at_end"),
        ({"early_stopping_steps": 2}, "early_stopping_steps"),
        ({"bf16": True, "fp16": True}, "fp16"),
        ({"neat_packing": True, "packing": False}, "neat_packing"),
        ({"contaminated_packing": True}, "contaminated_packing"),
        ({"contaminated_packing": True, "packing": True, "neat_packing": True}, "contaminated_packing"),
        ({"streaming": True}, "max_steps"),
        ({"streaming": True, "max_steps": 5, "val_size": 0.1}, "val_size"),
        ({"streaming": True, "max_steps": 5, "tokenized_path": "t"}, "tokenized_path"),
        ({"streaming": True, "max_steps": 5, "group_by_length": True}, "train_sampling_strategy"),
        ({"interleave_probs": "1.0"}, "interleave_probs"),
        ({"interleave_probs": "0.5,0.5", "mix_strategy": "interleave_under"}, "interleave_probs"),
        ({"interleave_probs": "0.5", "mix_strategy": "interleave_under"}, "interleave_probs"),
        ({"interleave_probs": "much", "mix_strategy": "interleave_under"}, "interleave_probs"),
        ({"max_bad_rows": 2.5}, "max_bad_rows"),
        ({"tool_format": "qwen"}, "tool_format"),
        ({"mask_history": True, "train_on_prompt": True}, "mask_history"),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": 0}, "freeze_trainable_layers"),
        ({"finetuning_type": "full", "adapter_name_or_path": "a"}, "adapter_name_or_path"),
        ({"report_to": "wandb"}, "report_to"),
        ({"resume_from_checkpoint": "true"}, "resume_from_checkpoint"),
        (
            {"resume_from_checkpoint": True, "output_dir": "o", "overwrite_output_dir": True},
            "overwrite_output_dir",
        ),
        ({"do_train": False}, "do_train"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "lr_scheduler_type"),
        ({"save_steps": 2.5}, "save_steps"),
        ({"warmup_ratio": 0, "warmup_steps": 1.5}, "warmup_steps"),
        ({"ignore_pad_token_for_loss": False}, "ignore_pad_token_for_loss"),
        ({"disable_shuffling": True, "group_by_length": True}, "disable_shuffling"),
        (
            {"gradient_checkpointing": True, "disable_gradient_checkpointing": True},
            "disable_gradient_checkpointing",
        ),
        (
            {
                "load_best_model_at_end": True,
                "eval_strategy": "steps",
                "val_size": 0.1,
                "eval_steps": 4,
                "save_steps": 6,
            },
            "save_steps",
        ),
    ],
)
def test_rules_between_arguments(given: dict, field: str) -> None:
    assert list(problems({**BASE, **given})) == [field]


def test_packing_goes_with_any_attention() -> None:
    assert load(packing=True, flash_attn="disabled")["packing"] is True
    assert load(packing=True, contaminated_packing=True, flash_attn="sdpa")["contaminated_packing"] is True


def test_a_registry_may_be_given_as_an_object() -> None:
    registry = {"mine": {"file_name": "mine.json"}}
    assert json.loads(load(dataset_dir=registry)["dataset_dir"]) == registry
    assert "is not a text" in problems({**BASE, "default_system": {"a": 1}})["default_system"]


def test_words_are_read_before_they_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("learning_rate: much\n", encoding="utf-8")
    assert read_argv("train", [str(path), "stage=bogus"]) == {"learning_rate": "much", "stage": "bogus"}


def test_export_needs_a_place() -> None:
    assert list(problems({"model_name_or_path": "m"}, "export")) == ["export_dir"]
    assert list(
        problems({"model_name_or_path": "m", "export_dir": "o", "export_legacy_format": True}, "export")
    ) == ["export_legacy_format"]


def test_a_whole_llama_factory_file_runs_unchanged() -> None:
    loaded = load_mapping("train", {
        "model_name_or_path": "m", "trust_remote_code": True, "stage": "sft", "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": 8, "lora_target": "all", "dataset": "identity,alpaca_en_demo", "template": "llama3",
        "cutoff_len": 2048, "max_samples": 1000, "overwrite_cache": True, "preprocessing_num_workers": 16,
        "dataloader_num_workers": 4, "output_dir": "saves/x", "logging_steps": 10, "save_steps": 500,
        "plot_loss": True,
        "overwrite_output_dir": True, "save_only_model": False, "report_to": "none",
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 8, "learning_rate": 1.0e-4, "num_train_epochs": 3.0,
        "lr_scheduler_type": "cosine", "warmup_ratio": 0.1, "bf16": True, "ddp_timeout": 180000000,
        "resume_from_checkpoint": None,
    })  # fmt: skip
    assert loaded.notes == ()
    assert flatten(loaded.args)["warmup_steps"] == 0.1
