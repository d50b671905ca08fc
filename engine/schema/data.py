"""Which data, and how rows become tokens. The chat template is a group of its own: inference needs it too."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg


@dataclass(frozen=True)
class TemplateArgs:
    template: str | None = arg(
        None,
        "Chat template by name (qwen3, llama3, ...). Empty: the tokenizer's own, which is the truth where"
        " it has one.",
        label="Chat template",
        tier="basic",
    )
    default_system: str | None = arg(
        None, "System prompt for conversations that bring none.", label="Default system prompt"
    )


@dataclass(frozen=True)
class DataArgs:
    dataset: tuple[str, ...] = arg(
        (), "Names from dataset_info.json, separated by commas.", label="Datasets", tier="basic"
    )
    eval_dataset: tuple[str, ...] = arg(
        (),
        "Datasets to evaluate on. Excludes a validation share.",
        label="Evaluation datasets",
        tier="common",
    )
    dataset_dir: str = arg(
        "data", "Folder that holds dataset_info.json.", label="Dataset folder", tier="common"
    )
    cutoff_len: int = arg(
        2048, "Longest sequence in tokens; longer ones are cut.", label="Max length", ge=4, tier="basic"
    )
    max_samples: int | None = arg(
        None, "Use only the first N rows of each dataset.", label="Max samples", ge=1, tier="basic"
    )
    val_size: float = arg(
        0.0,
        "Rows held out for evaluation: a share below 1, or a count.",
        label="Validation share",
        ge=0,
        tier="basic",
    )
    packing: bool | None = arg(
        None,
        "Put several short sequences into one row of max length. They never see each other.",
        label="Pack samples",
        tier="basic",
    )
    neat_packing: bool = arg(
        False,
        "Same as packing: every packing here keeps sequences apart.",
        label="Neat packing",
        tier="expert",
    )
    mask_history: bool = arg(
        False, "Learn only the last answer of a conversation.", label="Loss on last turn only", tier="basic"
    )
    train_on_prompt: bool = arg(False, "Learn the prompt's tokens too.", label="Learn the prompt")
    overwrite_cache: bool = arg(
        False, "Tokenise again even if a cached result fits.", label="Ignore token cache"
    )
    preprocessing_batch_size: int = arg(1000, "Rows tokenised at a time.", label="Preprocessing batch", ge=1)
    preprocessing_num_workers: int | None = arg(
        None, "Processes that tokenise. Empty: the machine decides.", label="Preprocessing workers", ge=1
    )
    ignore_pad_token_for_loss: bool = arg(
        True, "Never learn padding. The only value supported is true.", label="Ignore padding", tier="expert"
    )
