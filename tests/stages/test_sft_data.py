"""What the data arguments do to a run: streams, packing, several evaluation sets, the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from tests.stages.support import logged, losses, train

STREAM = {"streaming": True, "buffer_size": 7, "preprocessing_batch_size": 4}


def report_of(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "data_report.json").read_text())
    return found


def add(folder: Path, name: str, rows: list[dict[str, Any]], **entry: Any) -> None:
    (folder / "data" / f"{name}.json").write_text(json.dumps(rows))
    path = folder / "data" / "dataset_info.json"
    info = {**json.loads(path.read_text()), name: {"file_name": f"{name}.json", **entry}}
    path.write_text(json.dumps(info))


def test_a_streamed_run_and_its_report(tiny_random, folder, capsys):
    root = folder / "run"
    code = train(tiny_random, root, **STREAM, val_size=4, eval_strategy="steps", eval_steps=3, save_steps=2,
                 per_device_train_batch_size=2, dataloader_num_workers=2)  # fmt: skip
    assert code == 0
    report = report_of(root)
    assert report["streaming"] and report["eval_rows"] == 4
    # Six steps of two rows, read a few ahead: not the whole of thirty.
    assert 12 <= report["train_rows"] <= 20
    assert report["datasets"][0]["read"] < 30
    assert report["estimated_steps"] == 6 and report["estimated_seconds"] > 0
    assert any("dataloader_num_workers has no effect" in note for note in report["notes"])
    assert [event for event in logged(root) if "eval_loss" in event]
    assert losses(root)[0] != losses(root)[-1]
    said = capsys.readouterr().out
    before, after = said.split("step 1/6")
    assert "dataset words: streamed from " in before and "0 of 0" not in said
    assert f"dataset words: {report['datasets'][0]['used']} of {report['datasets'][0]['read']} rows" in after


@pytest.mark.parametrize("packing", [False, True])
def test_a_stream_resumes_to_the_very_bits(tiny_random, folder, packing):
    settings = {**STREAM, "lora_dropout": 0.2, "max_steps": 12, "per_device_train_batch_size": 3,
                "gradient_accumulation_steps": 2, "packing": packing, "cutoff_len": 64}  # fmt: skip
    assert train(tiny_random, folder / "whole", **settings) == 0
    asked = []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 7

    assert train(tiny_random, folder / "cut", stop=stop, **settings) == 130
    assert train(tiny_random, folder / "cut", resume_from_checkpoint="true", **settings) == 0
    weights = [(folder / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    assert losses(folder / "cut")[-4:] == losses(folder / "whole")[-4:]
    # More than two epochs of thirty rows went by: the counts are those of the first.
    if not packing:
        assert report_of(folder / "cut")["train_rows"] == 30


def test_a_stream_in_file_order_is_the_table_in_file_order(tiny_random, folder):
    settings = {"finetuning_type": "full", "train_sampling_strategy": "sequential",
                "per_device_train_batch_size": 5}  # fmt: skip
    train(tiny_random, folder / "table", **settings)
    train(tiny_random, folder / "stream", **STREAM, **settings)
    assert losses(folder / "table") == losses(folder / "stream")


def test_report_counts_steps_as_the_trainer_does(tiny_random, folder):
    for number, settings in enumerate(
        (
            {"max_steps": -1, "num_train_epochs": 2, "per_device_train_batch_size": 4},
            {"max_steps": -1, "num_train_epochs": 1.5, "per_device_train_batch_size": 4,
             "gradient_accumulation_steps": 3, "dataloader_drop_last": True},
            {"max_steps": -1, "num_train_epochs": 1, "packing": True, "cutoff_len": 64},
            {"max_steps": 3},
        )
    ):  # fmt: skip
        root = folder / f"run{number}"
        train(tiny_random, root, **settings)
        last = [event for event in logged(root) if "total_steps" in event][-1]
        report = report_of(root)
        assert report["estimated_steps"] == last["total_steps"] == last["current_steps"]
        assert (report["estimated_seconds"] is not None) == (last["total_steps"] > 5)
    assert (folder / "run0" / "data_report.json").read_text().count('"estimated_steps": 16') == 1


def test_each_evaluation_set_has_its_figures(tiny_random, folder):
    add(folder, "numbers", [{"instruction": f"add {n}", "output": f"{n}{n}"} for n in range(6)])
    settings = {"eval_dataset": "words,numbers", "eval_strategy": "steps", "eval_steps": 3, "save_steps": 3,
                "do_eval": True, "load_best_model_at_end": True}  # fmt: skip
    train(tiny_random, folder / "together", **settings)
    root = folder / "each"
    train(tiny_random, root, eval_on_each_dataset=True, metric_for_best_model="eval_numbers_loss", **settings)
    together = json.loads((folder / "together" / "all_results.json").read_text())
    each = json.loads((root / "all_results.json").read_text())
    assert {"eval_words_loss", "eval_numbers_perplexity"} <= each.keys()
    assert not [key for key in together if "words" in key]
    assert each["eval_loss"] == pytest.approx(together["eval_loss"], abs=1e-6)
    state = json.loads((root / "trainer_state.json").read_text())
    measured = [entry["eval_numbers_loss"] for entry in state["log_history"] if "eval_numbers_loss" in entry]
    assert state["best_metric"] == pytest.approx(min(measured[:2]))
    assert all("eval_words_loss" in event for event in logged(root) if "eval_loss" in event)
    with pytest.raises(UserError, match=r"eval_letters_loss is measured by no evaluation.*eval_words_loss"):
        train(tiny_random, folder / "wrong", eval_on_each_dataset=True,
              metric_for_best_model="eval_letters_loss", **settings)  # fmt: skip


def test_contaminated_packing_learns_something_else(tiny_random, folder):
    settings = {"finetuning_type": "full", "packing": True, "cutoff_len": 128, "max_steps": 2,
                "per_device_train_batch_size": 4}  # fmt: skip
    train(tiny_random, folder / "isolated", **settings)
    train(tiny_random, folder / "mixed", contaminated_packing=True, **settings)
    train(tiny_random, folder / "padded", contaminated_packing=True, flash_attn="sdpa", **settings)
    assert losses(folder / "isolated")[0] != pytest.approx(losses(folder / "mixed")[0], abs=1e-5)
    assert losses(folder / "mixed") == pytest.approx(losses(folder / "padded"), abs=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "disabled"])
def test_packing_with_any_attention_is_the_same_run(tiny_random, folder, attention):
    settings = {"finetuning_type": "full", "packing": True, "cutoff_len": 128, "max_steps": 2,
                "per_device_train_batch_size": 2}  # fmt: skip
    train(tiny_random, folder / "ours", **settings)
    train(tiny_random, folder / attention, flash_attn=attention, **settings)
    assert losses(folder / attention) == pytest.approx(losses(folder / "ours"), abs=1e-5)


def test_a_folder_of_tokens_serves_the_next_run(tiny_random, folder):
    settings = {"finetuning_type": "full", "max_steps": 2, "tokenized_path": str(folder / "tokens")}
    train(tiny_random, folder / "first", **settings)
    (folder / "data" / "rows.json").unlink()
    train(tiny_random, folder / "second", **settings)
    assert losses(folder / "first") == losses(folder / "second")
    with pytest.raises(UserError, match="cutoff_len is 2048 there and 64 here"):
        train(tiny_random, folder / "third", cutoff_len=64, **settings)


@pytest.mark.parametrize(
    ("entry", "row", "told"),
    [
        ({"ranking": True, "columns": {"prompt": "q", "query": "", "chosen": "a", "rejected": "b"}},
         {"q": "x", "a": "y", "b": "z"}, "pairs.*dpo"),
        ({"columns": {"prompt": "q", "query": "", "response": "a", "kto_tag": "ok"}},
         {"q": "x", "a": "y", "ok": True}, "kto"),
        ({"columns": {"prompt": "q", "query": "", "response": "a", "images": "pictures"}},
         {"q": "<image>x", "a": "y", "pictures": ["a.png"]}, "images, which a text model cannot read"),
        ({"formatting": "text"}, {"text": "words"}, "pt"),
    ],
)  # fmt: skip
def test_data_of_another_kind_is_refused_by_name(tiny_random, folder, entry, row, told):
    add(folder, "other", [row] * 3, **entry)
    with pytest.raises(UserError, match=told):
        train(tiny_random, folder / "run", dataset="other")
