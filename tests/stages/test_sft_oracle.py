"""TRL as the oracle: the same rows in the same order give the same losses in its SFTTrainer and in ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.support import learnable_rows, losses, make_trainer

STEPS = 6


def trl_losses(model: Path, folder: Path, rows) -> list[float]:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(model)
    config = SFTConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
        per_device_train_batch_size=4, max_steps=STEPS, logging_steps=1, learning_rate=1e-2, seed=7,
        lr_scheduler_type="linear", optim="adamw_torch", save_strategy="no", disable_tqdm=True,
        train_sampling_strategy="sequential", dataloader_pin_memory=False, max_length=None,
    )  # fmt: skip
    network = AutoModelForCausalLM.from_pretrained(model, dtype="float32", attn_implementation="sdpa")
    table = Dataset.from_list(list(map(rows.__getitem__, range(len(rows)))))
    trainer = SFTTrainer(network, args=config, train_dataset=table, processing_class=tokenizer)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_the_losses_are_trls(tiny_random: Path, tmp_path: Path) -> None:
    rows = learnable_rows(4 * STEPS)
    trainer = make_trainer(
        tiny_random, tmp_path / "ours", rows=rows, finetuning_type="full", max_steps=STEPS,
        optim="adamw_torch",
        per_device_train_batch_size=4, train_sampling_strategy="sequential",
    )  # fmt: skip
    trainer.train()
    ours = losses(trainer)
    theirs = trl_losses(tiny_random, tmp_path / "trl", rows)
    assert len(ours) == STEPS and ours == pytest.approx(theirs, rel=1e-4)
