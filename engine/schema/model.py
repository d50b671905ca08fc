"""Which model, and how its weights are brought into memory."""

from __future__ import annotations

from dataclasses import dataclass

from engine.schema.arg import arg

DTYPES = ("auto", "float16", "bfloat16", "float32")


@dataclass(frozen=True)
class ModelArgs:
    model_name_or_path: str | None = arg(
        None, "Base model: a local directory or a hub id such as Qwen/Qwen3-4B.", label="Model", tier="basic"
    )
    adapter_name_or_path: tuple[str, ...] = arg(
        (),
        "Adapter directories, separated by commas. Earlier ones are merged in order; training goes on "
        "with the last.",
        label="Adapters",
        tier="common",
    )
    adapter_folder: str | None = arg(
        None, "Folder inside the adapter's location that holds it.", label="Adapter folder"
    )
    cache_dir: str | None = arg(None, "Where hub downloads are kept (else HF_HOME).", label="Download cache")
    model_revision: str = arg("main", "Branch, tag or commit on the hub.", label="Revision")
    trust_remote_code: bool = arg(
        False,
        "Run Python code that ships with this model. Leave off unless you have read that code.",
        label="Trust remote code",
    )
    flash_attn: str = arg(
        "auto",
        "Attention kernel. auto and ours keep packed sequences apart without padding; sdpa and disabled "
        "(eager) use "
        "padded batches.",
        label="Attention",
        choices=("auto", "ours", "sdpa", "disabled"),
    )
    train_from_scratch: bool = arg(
        False,
        "Start from random weights: only the model's configuration and tokenizer are read.",
        label="From scratch",
    )
    infer_dtype: str = arg(
        "auto",
        "Number format of the weights in chat, evaluation and export. auto keeps the checkpoint's where "
        "the machine "
        "can run it.",
        label="Inference precision",
        choices=DTYPES,
    )
