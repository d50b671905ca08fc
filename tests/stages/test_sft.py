"""`tunesmith train` from its arguments to its files, over real dataset files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from engine.errors import UserError
from engine.train.steps import write_results
from tests.stages.support import logged, losses, train


def test_leaves_the_files_people_expect(tiny_random, folder, capsys):
    root = folder / "run"
    code = train(
        tiny_random,
        root,
        finetuning_type="lora",
        val_size=0.2,
        eval_strategy="steps",
        eval_steps=3,
        save_steps=3,
        plot_loss=True,
        do_eval=True,
        load_best_model_at_end=True,
        compute_accuracy=True,
    )
    assert code == 0
    names = {path.name for path in root.iterdir()}
    expected = (
        "adapter_config.json adapter_model.safetensors tokenizer.json tokenizer_config.json "
        "chat_template.jinja "
        "all_results.json train_results.json eval_results.json trainer_state.json training_loss.png "
        "training_eval_loss.png trainer_log.jsonl data_report.json checkpoint-3 checkpoint-6"
    )
    assert set(expected.split()) <= names
    assert "README.md" not in names and ".staging" not in names
    results = json.loads((root / "all_results.json").read_text())
    assert {"train_loss", "train_runtime", "eval_loss", "eval_accuracy", "epoch"} <= set(results)
    assert results["train_loss"] == pytest.approx(sum(losses(root)) / 6)
    phases = [event["phase"] for event in logged(root) if "phase" in event]
    assert [phases[0], phases[-1]] == ["loading", "saving"] and {"tokenizing", "training"} <= set(phases)
    first = capsys.readouterr().out.splitlines()[0]
    assert "sft (lora)" in first


def test_trained_from_scratch_and_packed(tiny_random, folder):
    root = folder / "run"
    assert (
        train(
            tiny_random, root, finetuning_type="full", train_from_scratch=True, packing=True, cutoff_len=128
        )
        == 0
    )
    assert (root / "model.safetensors").is_file()
    assert json.loads((root / "config.json").read_text())["use_cache"] is True
    other = folder / "seeded"
    train(tiny_random, other, finetuning_type="full", train_from_scratch=True, packing=True, cutoff_len=128)
    assert losses(root) == losses(other)
    read = folder / "read"
    train(tiny_random, read, finetuning_type="full", packing=True, cutoff_len=128)
    assert losses(read)[0] != losses(root)[0]


def test_packing_changes_no_loss(tiny_random, folder):
    """All thirty rows in one step, packed into rows of 128 or not: the same tokens, the same loss."""
    settings = {"finetuning_type": "full", "max_steps": 3, "per_device_train_batch_size": 30}
    train(tiny_random, folder / "plain", **settings)
    train(tiny_random, folder / "packed", packing=True, cutoff_len=128, **settings)
    assert losses(folder / "plain") == pytest.approx(losses(folder / "packed"), abs=1e-6)


@pytest.mark.parametrize("flash_attn", ["sdpa", "disabled"])
def test_padded_attention_gives_the_same_losses(tiny_random, folder, flash_attn):
    train(tiny_random, folder / "ours", finetuning_type="full", max_steps=3)
    train(tiny_random, folder / "theirs", finetuning_type="full", max_steps=3, flash_attn=flash_attn)
    assert losses(folder / "ours") == pytest.approx(losses(folder / "theirs"), abs=1e-4)


def test_recomputed_activations_give_the_same_losses(tiny_random, folder):
    settings = {"finetuning_type": "lora", "lora_dropout": 0.1, "max_steps": 3}
    train(tiny_random, folder / "kept", **settings)
    train(tiny_random, folder / "recomputed", gradient_checkpointing=True, **settings)
    assert losses(folder / "kept") == pytest.approx(losses(folder / "recomputed"), abs=1e-6)


def test_stop_then_resume_equals_an_uninterrupted_run(tiny_random, folder, capsys):
    settings = {"finetuning_type": "lora", "lora_dropout": 0.2, "logging_steps": 4, "max_steps": 10}
    assert train(tiny_random, folder / "whole", **settings) == 0
    cut, asked = folder / "cut", []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > 5

    assert train(tiny_random, cut, stop=stop, **settings) == 130
    assert not (cut / "adapter_model.safetensors").exists()
    assert train(tiny_random, cut, resume_from_checkpoint="true", **settings) == 0
    assert "resuming from" in capsys.readouterr().out
    assert {"resumed_from": 6} in logged(cut)
    weights = [(folder / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    after = [event for event in logged(cut) if event.get("current_steps", 0) >= 8 and "loss" in event]
    whole = [
        event for event in logged(folder / "whole") if event.get("current_steps", 0) >= 8 and "loss" in event
    ]
    assert [event["loss"] for event in after] == [event["loss"] for event in whole]
    results = [
        json.loads((folder / name / "all_results.json").read_text())["train_loss"]
        for name in ("whole", "cut")
    ]
    assert results[0] == pytest.approx(results[1])


@pytest.mark.parametrize("save_strategy", ["steps", "epoch"])
def test_a_loss_that_is_no_number_ends_the_run(tiny_random, folder, save_strategy):
    """No later checkpoint takes the place of a sound one, and no ruined model is written."""
    settings = {"save_strategy": save_strategy, "save_steps": 1, "max_grad_norm": 0, "max_steps": 60}
    with pytest.raises(UserError, match=r"learning_rate: 1e\+30 made the loss (nan|inf)"):
        train(tiny_random, folder / "run", finetuning_type="full", learning_rate=1e30, **settings)
    assert not (folder / "run" / "model.safetensors").exists()
    assert logged(folder / "run")[-1]["loss"] is None
    last = logged(folder / "run")[-1]["current_steps"]
    assert last < 60 and not (folder / "run" / f"checkpoint-{last}").exists()


def test_results_are_json_whatever_the_figures(tmp_path):
    write_results(tmp_path, {"eval": {"eval_loss": float("nan")}}, epoch=1.0)
    found = json.loads((tmp_path / "all_results.json").read_text(), parse_constant=pytest.fail)
    assert found == {"epoch": 1.0, "eval_loss": None}


def test_goes_on_from_an_adapter_or_starts_a_new_one(tiny_random, folder):
    first = folder / "first"
    train(tiny_random, first, finetuning_type="lora", learning_rate=1e-2)
    train(tiny_random, folder / "on", finetuning_type="lora", adapter_name_or_path=str(first), max_steps=1)
    train(
        tiny_random,
        folder / "new",
        finetuning_type="lora",
        adapter_name_or_path=str(first),
        create_new_adapter=True,
        max_steps=1,
    )
    # Both begin where the first one ended.
    assert losses(folder / "on")[0] == pytest.approx(losses(folder / "new")[0], abs=1e-5)
    assert losses(folder / "on")[0] != losses(first)[0]


def test_a_finished_run_takes_no_further_step(tiny_random, folder):
    settings = {"finetuning_type": "lora", "max_steps": 6, "per_device_train_batch_size": 8}
    train(tiny_random, folder / "run", **settings)
    before = (folder / "run" / "adapter_model.safetensors").read_bytes()
    results = json.loads((folder / "run" / "all_results.json").read_text())
    assert train(tiny_random, folder / "run", resume_from_checkpoint="true", **settings) == 0
    assert (folder / "run" / "adapter_model.safetensors").read_bytes() == before
    again = json.loads((folder / "run" / "all_results.json").read_text())
    assert again["train_loss"] == pytest.approx(results["train_loss"])


def test_a_template_chosen_by_name_is_saved_with_the_model(tiny_random, folder):
    from transformers import AutoTokenizer, GenerationConfig

    train(tiny_random, folder / "run", finetuning_type="full", max_steps=1, template="llama2")
    saved = AutoTokenizer.from_pretrained(folder / "run")
    assert "[INST]" in saved.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert saved.eos_token_id in GenerationConfig.from_pretrained(folder / "run").eos_token_id


def test_a_model_that_mixes_segments_is_padded_or_refused(tiny_random, folder, monkeypatch, capsys):
    from engine.models import attention

    train(tiny_random, folder / "apart", finetuning_type="full", max_steps=2)
    monkeypatch.setattr(attention, "keeps_segments_apart", lambda network: False)
    assert train(tiny_random, folder / "padded", finetuning_type="full", max_steps=2) == 0
    assert "padded batches are used instead" in capsys.readouterr().out
    assert losses(folder / "padded") == pytest.approx(losses(folder / "apart"), abs=1e-4)
    with pytest.raises(UserError, match="packing"):
        train(tiny_random, folder / "packed", packing=True)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"model_name_or_path": "no/such/model/here"}, "model_name_or_path"),
        ({"model_name_or_path": "data"}, "config.json"),
        ({"adapter_name_or_path": "/no/such/adapter"}, "adapter_name_or_path"),
        ({"lora_target": "q_proj,bogus"}, "bogus.*down_proj"),
        ({"finetuning_type": "freeze", "freeze_trainable_layers": 9}, "2 layers"),
        ({"finetuning_type": "freeze", "freeze_trainable_modules": "bogus"}, "bogus.*mlp"),
        ({"finetuning_type": "full", "adapter_name_or_path": "."}, "lora"),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "lr_scheduler_kwargs"),
        ({"optim_args": "bogus=1"}, "optim_args"),
        ({"metric_for_best_model": "bleu"}, "eval_loss or eval_perplexity"),
        ({"metric_for_best_model": "eval_accuracy"}, "compute_accuracy=true"),
        ({"dataloader_drop_last": True, "per_device_train_batch_size": 31}, "leaves none of 30 rows"),
        ({"resume_from_checkpoint": "nowhere"}, "resume_from_checkpoint"),
    ],
)
def test_mistakes_are_told_in_one_sentence(tiny_random, folder, changes, names):
    with pytest.raises(UserError, match=names):
        train(tiny_random, folder / "run", **changes)
    assert not list((folder / "run").glob("checkpoint-*"))


def test_the_first_line_comes_before_anything_heavy_is_imported(repo):
    """`tunesmith train` speaks within a fraction of a second; torch is imported after that."""
    code = "import sys, engine.train.run; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repo, timeout=60).returncode == 0


def test_stages_are_listed_by_their_files():
    from engine.schema.arg import specs
    from engine.schema.commands import TrainArgs
    from engine.stages import names

    assert set(specs(TrainArgs)["stage"].choices) == set(names())
