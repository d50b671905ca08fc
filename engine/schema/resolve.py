"""Derived values: fill what a person left open, and say why. Returns a new object; nothing is mutated.

Knows the machine only through `env.Machine`, so that a dry run, the studio and the engine agree.
Try: tunesmith train --dry_run --model_name_or_path data/tiny-qwen3 --dataset identity
"""

from __future__ import annotations

import datetime
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.env import Machine
from engine.schema.arg import flatten, replace, specs
from engine.schema.commands import TrainArgs


@dataclass(frozen=True)
class Reason:
    """A value we filled in, or changed because the machine asks for it."""

    name: str
    value: Any
    why: str

    def __str__(self) -> str:
        return f"{self.name}={self.value} ({self.why})"


@dataclass(frozen=True)
class Resolved:
    """Arguments with every derivable value in force, and the reasons for those we filled."""

    command: str
    args: Any
    reasons: tuple[Reason, ...]


class _Filler:
    """Collects filled values. Local to one call of `resolve`."""

    def __init__(self, args: Any) -> None:
        self.values = flatten(args)
        self.reasons: list[Reason] = []

    def set(self, name: str, value: Any, why: str) -> None:
        self.values[name] = value
        self.reasons.append(Reason(name, value, why))

    def fill(self, name: str, value: Any, why: str) -> None:
        if self.values[name] is None:
            self.set(name, value, why)


def resolve(command: str, args: Any, machine: Machine, *, saves: Path = Path("saves")) -> Resolved:
    """Fill in every derived value of a command's checked arguments."""
    filler = _Filler(args)
    declared = specs(type(args))
    if "output_dir" in declared:
        filler.fill(
            "output_dir", str(new_run_dir(command, filler.values, saves)), "a new folder for each run"
        )
    if "use_cpu" in declared and not machine.gpus and not filler.values["use_cpu"]:
        filler.set("use_cpu", True, "this machine has no GPU we can use")
    if isinstance(args, TrainArgs):
        _resolve_method(filler)
        _resolve_data(filler)
        _resolve_loader(filler, machine)
        _resolve_precision(filler, machine)
        _resolve_output(filler)
    return Resolved(command, replace(args, **filler.values), tuple(filler.reasons))


def new_run_dir(command: str, values: dict[str, Any], saves: Path) -> Path:
    """saves/MODEL/METHOD/DATE-TIME-RANDOM. The random part keeps two starts in one second apart."""
    model = (
        re.sub(r"[^\w.-]+", "_", Path(str(values["model_name_or_path"] or "model").rstrip("/")).name)
        or "model"
    )
    method = values["finetuning_type"] if command == "train" else command
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return saves / model / method / f"{stamp}-{secrets.token_hex(2)}"


def _resolve_method(filler: _Filler) -> None:
    values = filler.values
    if values["finetuning_type"] == "lora":
        filler.fill("lora_alpha", 2 * values["lora_rank"], "twice lora_rank")


def _resolve_data(filler: _Filler) -> None:
    values = filler.values
    if values["packing"] is None:
        filler.set(
            "packing",
            values["neat_packing"],
            "neat_packing" if values["neat_packing"] else "off unless asked",
        )
    if values["disable_shuffling"] and values["train_sampling_strategy"] == "random":
        filler.set("train_sampling_strategy", "sequential", "disable_shuffling")
    filler.fill("data_seed", values["seed"], "the seed")


def _resolve_loader(filler: _Filler, machine: Machine) -> None:
    """More loader processes than cores only wait for each other. What they load does not change."""
    if filler.values["dataloader_num_workers"] > machine.cpu_count:
        filler.set("dataloader_num_workers", machine.cpu_count, f"this machine has {machine.cpu_count} cores")


def _resolve_precision(filler: _Filler, machine: Machine) -> None:
    values = filler.values
    on_cpu = values["use_cpu"]
    has_bf16 = machine.cpu_bf16 if on_cpu else all(gpu.compute_capability >= (8, 0) for gpu in machine.gpus)
    for name in ("bf16", "pure_bf16"):
        if values[name] and not has_bf16:
            where = "processor" if on_cpu else "GPU"
            filler.set(name, False, f"this {where} has no bfloat16 instructions")
            if not on_cpu:
                filler.set("fp16", True, "the GPU's own half precision instead of bf16")
    if values["fp16"] and on_cpu:
        filler.set("fp16", False, "float16 training needs a GPU; float32 is used")
    if values["tf32"] and on_cpu:
        filler.set("tf32", None, "TF32 is a format of NVIDIA GPUs")
    if values["gradient_checkpointing"] is None:
        if values["disable_gradient_checkpointing"]:
            filler.set("gradient_checkpointing", False, "disable_gradient_checkpointing")
        else:
            why = "recomputing saves no memory worth its time on a CPU" if on_cpu else "saves GPU memory"
            filler.set("gradient_checkpointing", not on_cpu, why)


def _resolve_output(filler: _Filler) -> None:
    values = filler.values
    if values["eval_strategy"] == "steps":
        filler.fill("eval_steps", values["logging_steps"], "as often as it logs")
    stops_early = values["early_stopping_steps"] and not values["load_best_model_at_end"]
    if stops_early and values["save_strategy"] in ("best", values["eval_strategy"]):
        filler.set("load_best_model_at_end", True, "early stopping ends with the best checkpoint")
    if values["eval_strategy"] != "no":
        filler.fill("metric_for_best_model", "eval_loss", "the usual measure")
        metric = str(values["metric_for_best_model"])
        filler.fill("greater_is_better", not metric.endswith(("loss", "perplexity")), f"best by {metric}")
