"""The loop on a random little model: it learns, adds up exactly, counts tokens, evaluates exactly, stops
when asked.
"""

from __future__ import annotations

import json
import math

import pytest
import torch

from engine.train.callbacks import RunLog, StopWhenAsked, StopWhenNoBetter
from tests.train.support import collate_flat, collate_padded, learnable_rows, losses, make_trainer


@pytest.mark.parametrize("method", ["full", "freeze", "lora"])
def test_learns(loud_random, tmp_path, method):
    trainer = make_trainer(
        loud_random,
        tmp_path,
        finetuning_type=method,
        max_steps=60,
        lora_rank=16,
        learning_rate=2e-2,
        freeze_extra_modules=("embed_tokens",),
        freeze_trainable_layers=1,
    )
    trainer.train()
    seen = losses(trainer)
    assert seen[-1] < seen[0] / 2, seen


def test_no_padding_gives_the_padded_loss(tiny_random, tmp_path):
    flat = make_trainer(tiny_random, tmp_path / "flat", finetuning_type="full", max_steps=6)
    padded = make_trainer(
        tiny_random,
        tmp_path / "padded",
        finetuning_type="full",
        max_steps=6,
        collate=collate_padded,
        attention="sdpa",
    )
    flat.train()
    padded.train()
    assert losses(flat) == pytest.approx(losses(padded), abs=1e-5)


def test_accumulation_is_one_large_batch(tiny_random, tmp_path):
    once = make_trainer(
        tiny_random, tmp_path / "one", finetuning_type="full", max_steps=6, per_device_train_batch_size=8
    )
    parts = make_trainer(
        tiny_random,
        tmp_path / "four",
        finetuning_type="full",
        max_steps=6,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=4,
    )
    once.train()
    parts.train()
    assert losses(once) == pytest.approx(losses(parts), abs=1e-5)
    for ours, theirs in zip(once.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_same_arguments_same_losses(tiny_random, tmp_path):
    seen = []
    for name in ("a", "b"):
        trainer = make_trainer(tiny_random, tmp_path / name, lora_dropout=0.2, max_steps=8)
        trainer.train()
        seen.append(losses(trainer))
    assert seen[0] == seen[1]


def test_order_depends_on_seed_and_epoch_alone(tiny_random, tmp_path):
    """Two epochs differ, and a global random number drawn in between changes nothing."""
    from engine.train.batches import EpochBatches

    batches = EpochBatches(20, 6, order="random", seed=1)
    first = list(batches)
    torch.rand(3)
    assert first == list(batches)
    assert sorted(row for batch in first for row in batch) == list(range(20))
    assert [len(batch) for batch in first] == [6, 6, 6, 2]
    batches.set_epoch(1)
    assert list(batches) != first


def test_group_by_length_keeps_every_row_and_groups():
    import numpy as np

    from engine.train.batches import EpochBatches

    lengths = np.random.default_rng(0).integers(1, 500, 203)
    batches = list(EpochBatches(203, 8, order="group_by_length", seed=3, lengths=lengths))
    assert sorted(row for batch in batches for row in batch) == list(range(203))
    spread = np.mean([lengths[batch].max() - lengths[batch].min() for batch in batches])
    assert spread < 60


def test_counts_tokens_without_padding(tiny_random, tmp_path):
    rows = learnable_rows(16)
    for name, collate, attention in (
        ("flat", collate_flat, "tunesmith_segment"),
        ("padded", collate_padded, "sdpa"),
    ):
        trainer = make_trainer(
            tiny_random, tmp_path / name, rows=rows, collate=collate, attention=attention, num_train_epochs=2
        )
        trainer.train()
        assert trainer.state.num_input_tokens_seen == 2 * int(rows.lengths.sum())


def test_eval_loss_weighs_every_token_once(tiny_random, tmp_path):
    """Batches of 1 and of 5 rows of uneven length give the same mean, and it is the model's own."""
    rows = learnable_rows(11, seed=5)
    found = []
    for size in (1, 5):
        trainer = make_trainer(
            tiny_random,
            tmp_path / str(size),
            evals={"only": rows},
            per_device_eval_batch_size=size,
            compute_accuracy=True,
        )
        found.append(trainer.evaluate())
    assert found[0]["eval_loss"] == pytest.approx(found[1]["eval_loss"], abs=1e-6)
    assert found[0]["eval_perplexity"] == pytest.approx(math.exp(found[0]["eval_loss"]))
    network = trainer.model.eval().requires_grad_(False)
    total, count = 0.0, 0
    for ids, labels in rows.rows:
        logits = network(torch.tensor([ids])).logits[0, :-1]
        targets = torch.tensor(labels[1:])
        total += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum", ignore_index=-100))
        count += int((targets != -100).sum())
    assert found[0]["eval_loss"] == pytest.approx(total / count, abs=1e-5)
    assert 0 <= found[0]["eval_accuracy"] <= 1


def test_several_eval_sets_and_their_total(tiny_random, tmp_path):
    evals = {"short": learnable_rows(3), "long": learnable_rows(9, seed=2)}
    metrics = make_trainer(tiny_random, tmp_path, evals=evals).evaluate()
    expected = (3 * metrics["eval_short_loss"] + 9 * metrics["eval_long_loss"]) / 12
    assert metrics["eval_loss"] == pytest.approx(expected)


def test_metric_log_has_the_fields_people_know(tiny_random, tmp_path, capsys):
    from engine.paths import RunPaths

    trainer = make_trainer(
        tiny_random,
        tmp_path,
        max_steps=4,
        evals={"only": learnable_rows(4)},
        eval_strategy="steps",
        eval_steps=2,
        callbacks=[RunLog(RunPaths(tmp_path), bar=False)],
    )
    trainer.train()
    events = [json.loads(line) for line in (tmp_path / "trainer_log.jsonl").read_text().splitlines()]
    steps = [event for event in events if "loss" in event]
    assert [event["current_steps"] for event in steps] == [1, 2, 3, 4]
    known = (
        "current_steps total_steps loss lr epoch percentage elapsed_time remaining_time throughput "
        "total_tokens grad_norm"
    )
    assert set(known.split()) <= set(steps[0])
    evaluations = [event for event in events if "eval_loss" in event]
    assert [event["current_steps"] for event in evaluations] == [2, 4]
    assert all("loss" not in event for event in evaluations)
    lines = capsys.readouterr().out.splitlines()
    assert sum("step 3/4  loss " in line for line in lines) == 1


def test_stop_saves_and_ends(tiny_random, tmp_path):
    asked = []
    stop = StopWhenAsked(lambda: bool(asked))

    class AskAtThree(StopWhenAsked):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 3:
                asked.append(True)

    trainer = make_trainer(tiny_random, tmp_path, max_steps=50, callbacks=[AskAtThree(lambda: False), stop])
    trainer.train()
    assert trainer.state.global_step == 4
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-4"]


@pytest.mark.parametrize("when", ["steps", "best"])
def test_stop_during_evaluation_saves_and_takes_no_result(tiny_random, tmp_path, when):
    asked = []

    def stop():
        asked.append(True)
        return len(asked) > 2

    trainer = make_trainer(
        tiny_random,
        tmp_path,
        max_steps=20,
        evals={"only": learnable_rows(20)},
        per_device_eval_batch_size=1,
        eval_strategy="steps",
        eval_steps=5,
        save_strategy=when,
        save_steps=5,
        load_best_model_at_end=True,
        stop=stop,
    )
    trainer.train()
    assert trainer.state.global_step == 5
    assert trainer.state.best_metric is None
    assert (tmp_path / "checkpoint-5" / "trainer_state.json").is_file()


@pytest.mark.parametrize("stop_at", [None, 4], ids=["to the end", "stopped"])
def test_the_newest_checkpoint_stays_beside_the_best(tiny_random, tmp_path, stop_at):
    """With save_total_limit=1 too: a run that is stopped goes on from the newest, whose weights it keeps."""
    made = []
    stop = StopWhenAsked(lambda: made[0].state.global_step == stop_at)
    trainer = make_trainer(
        tiny_random,
        tmp_path,
        finetuning_type="full",
        max_steps=6,
        evals={"only": learnable_rows(8, seed=9)},
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        save_total_limit=1,
        load_best_model_at_end=True,
        greater_is_better=True,  # the loss falls, so that the first is the best
        metric_for_best_model="eval_loss",
        callbacks=[stop],
        stop=lambda: made[0].state.global_step == stop_at,
    )
    made.append(trainer)
    trainer.train()
    last = stop_at or 6
    best = trainer.state.best_global_step
    kept = {path.name for path in tmp_path.glob("checkpoint-*")}
    assert kept == {f"checkpoint-{best}", f"checkpoint-{last}"} and best != last
    from safetensors.torch import load_file

    name = "model.norm.weight"
    saved = load_file(tmp_path / f"checkpoint-{last if stop_at else best}" / "model.safetensors")[name]
    assert torch.equal(trainer.model.state_dict()[name], saved)


def test_early_stopping_and_best_checkpoint(tiny_random, tmp_path):
    """With a rate that ruins the model, the evaluation gets worse: the run ends, with the best weights,
    which are kept.
    """
    trainer = make_trainer(
        tiny_random,
        tmp_path,
        finetuning_type="full",
        max_steps=40,
        learning_rate=0.5,
        lr_scheduler_type="constant",
        max_grad_norm=0,
        evals={"only": learnable_rows(8, seed=9)},
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        save_total_limit=1,
        load_best_model_at_end=True,
        greater_is_better=False,
        metric_for_best_model="eval_loss",
        early_stopping_steps=2,
        eval_on_start=True,
        callbacks=[StopWhenNoBetter(2)],
    )
    trainer.train()
    assert trainer.state.global_step < 40
    values = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    kept = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
    assert f"checkpoint-{trainer.state.best_global_step}" in kept and len(kept) <= 2
    assert trainer.evaluate()["eval_loss"] == pytest.approx(min(values[1:]), abs=1e-5)
