"""A trainer around a random little model and rows made here: no dataset file, no template, no tokenised
cache.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from engine.models import attention as segment
from engine.models.adapters import apply_adapter
from engine.models.load import load_model
from engine.models.tokenizer import load_tokenizer
from engine.paths import RunPaths
from engine.schema.adapter import AdapterArgs
from engine.schema.commands import TrainArgs
from engine.schema.launch import LaunchArgs
from engine.schema.model import ModelArgs
from engine.schema.optimization import OptimizationArgs
from engine.schema.output import OutputArgs
from engine.stages.sft import loss
from engine.train.arguments import training_arguments
from engine.train.trainer import StageTrainer, build_trainer


class Rows:
    """A table as the data path gives it: input_ids, labels, lengths."""

    def __init__(self, rows: list[tuple[list[int], list[int]]]) -> None:
        self.rows = rows
        self.lengths = np.array([len(ids) for ids, _ in rows])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        ids, labels = self.rows[index]
        return {"input_ids": ids, "labels": labels}


def learnable_rows(count: int, *, seed: int = 0) -> Rows:
    """Prompt of 2 to 12 letters, answer = the first letter four times: easy, of uneven length."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        prompt = rng.integers(1, 40, rng.integers(2, 13)).tolist()
        answer = [prompt[0]] * 4 + [50]
        rows.append((prompt + answer, [-100] * len(prompt) + answer))
    return Rows(rows)


def collate_flat(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One row without padding, with boundaries: written anew here, so that tests do not lean on the
    product's.
    """
    ids = [torch.tensor(row["input_ids"]) for row in rows]
    labels = [torch.tensor([-100] + row["labels"][1:]) for row in rows]
    ends = torch.tensor([0] + [len(part) for part in ids], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    longest = max(len(part) for part in ids)
    return {
        "input_ids": torch.cat(ids)[None],
        "labels": torch.cat(labels)[None],
        "position_ids": torch.cat([torch.arange(len(part)) for part in ids])[None],
        "cu_seq_lens_q": ends,
        "cu_seq_lens_k": ends,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def collate_padded(rows: list[dict[str, Any]]) -> dict[str, Any]:
    longest = max(len(row["input_ids"]) for row in rows)
    pad = [longest - len(row["input_ids"]) for row in rows]
    return {
        "input_ids": torch.tensor([row["input_ids"] + [0] * n for row, n in zip(rows, pad, strict=True)]),
        "labels": torch.tensor([row["labels"] + [-100] * n for row, n in zip(rows, pad, strict=True)]),
        "attention_mask": torch.tensor([[1] * (longest - n) + [0] * n for n in pad]),
    }


def train_args(model: Path, **changes: Any) -> TrainArgs:
    """Arguments for a short run on the CPU; `changes` go to whichever group declares them."""
    changes = {
        "use_cpu": True,
        "seed": 7,
        "logging_steps": 1,
        "save_strategy": "no",
        "learning_rate": 1e-2,
        **changes,
    }
    groups = {
        "adapter": AdapterArgs,
        "optimization": OptimizationArgs,
        "output": OutputArgs,
        "launch": LaunchArgs,
    }
    built = {}
    for name, kind in groups.items():
        fields = set(kind.__dataclass_fields__) & set(changes)
        built[name] = kind(**{field: changes.pop(field) for field in fields})
    assert not changes, f"unknown arguments {changes}"
    return TrainArgs(model=ModelArgs(model_name_or_path=str(model)), **built)


def make_trainer(
    model: Path,
    root: Path,
    *,
    rows: Rows | None = None,
    evals: dict[str, Rows] | None = None,
    collate: Any = collate_flat,
    attention: str = segment.NAME,
    callbacks: list[Any] | None = None,
    stop: Any = lambda: False,
    **changes: Any,
) -> StageTrainer:
    args = train_args(model, **changes)
    torch.manual_seed(args.optimization.seed)
    network = load_model(args.model, dtype=torch.float32, attention=attention, trainable=True)
    network = apply_adapter(network, args.adapter, args.model, pure=False)
    return build_trainer(
        network=network,
        tokenizer=load_tokenizer(args.model),
        arguments=training_arguments(args, root),
        collate=collate,
        train_table=rows or learnable_rows(32),
        eval_tables=evals or {},
        callbacks=callbacks or [],
        stage_loss=loss,
        paths=RunPaths(root),
        order=args.optimization.train_sampling_strategy,
        with_accuracy=args.output.compute_accuracy,
        stop_requested=stop,
    )


def losses(trainer: StageTrainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def fake_run(root: Path, stop: Any = lambda: False) -> SimpleNamespace:
    import contextlib

    root.mkdir(parents=True, exist_ok=True)
    return SimpleNamespace(paths=RunPaths(root), stop_requested=stop, cooperative=contextlib.nullcontext)
