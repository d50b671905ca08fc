"""What is trained: the objective (stage) and the share of the parameters that moves."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg


@dataclass(frozen=True)
class AdapterArgs:
    stage: str = arg("sft", "Training objective.", label="Stage", choices=("sft",), tier="basic")
    finetuning_type: str = arg(
        "lora",
        "lora trains small added matrices, freeze a few layers, full everything.",
        label="Method",
        choices=("lora", "freeze", "full"),
        tier="basic",
    )
    lora_rank: int = arg(8, "Rank of the added matrices.", label="Rank", ge=1, tier="common")
    lora_alpha: int | None = arg(
        None, "Scale numerator. Empty: twice the rank.", label="Alpha", ge=1, tier="common"
    )
    lora_dropout: float = arg(
        0.0, "Dropout before the added matrices.", label="Dropout", ge=0, lt=1, tier="common"
    )
    lora_target: tuple[str, ...] = arg(
        ("all",),
        "Modules that get the matrices, separated by commas; all = every linear layer but the output head.",
        label="Target modules",
        tier="common",
    )
    additional_target: tuple[str, ...] = arg(
        (), "Modules trained in full beside the adapter and saved with it.", label="Extra full modules"
    )
    use_rslora: bool = arg(
        False, "Scale by alpha / sqrt(rank) instead of alpha / rank.", label="Rank-stabilised LoRA"
    )
    create_new_adapter: bool = arg(
        False,
        "Merge the given adapters and train a fresh one, instead of going on with the last.",
        label="New adapter",
    )
    freeze_trainable_layers: int = arg(
        2,
        "Layers that train: the last N, or the first -N where negative.",
        label="Trainable layers",
        tier="common",
    )
    freeze_trainable_modules: tuple[str, ...] = arg(
        ("all",), "Modules inside those layers that train, separated by commas.", label="Trainable modules"
    )
    freeze_extra_modules: tuple[str, ...] = arg(
        (), "Modules outside the layers that train too, such as lm_head.", label="Extra modules"
    )
