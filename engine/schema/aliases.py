"""Old spellings and known strangers: what users bring from LLaMA-Factory and older transformers.

Each name is renamed, translated, dropped with a note, or refused by name; none is ignored in silence.
`known.json` holds every LLaMA-Factory argument with its default, so that one we lack is told from a
misspelling. Try: python -c "from engine.schema.aliases import modernise;
print(modernise({'evaluation_strategy': 'steps'}))"
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import Problem

Notes = list[str]

RENAMED = {
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "use_mps_device": "use_cpu",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "num_epochs": "num_train_epochs",
}

DROPPED = {
    "logging_dir": "trackers take their folder from TENSORBOARD_LOGGING_DIR",
    "save_safetensors": "weights are always written as safetensors",
    "fp16_backend": "there is one float16 implementation now",
    "half_precision_backend": "there is one float16 implementation now",
    "fp16_opt_level": "there is one float16 implementation now",
    "include_tokens_per_second": "tokens per second are always logged",
    "use_fast_tokenizer": "every tokenizer is the fast one now",
    "low_cpu_mem_usage": "weights are always loaded without a second copy",
    "ray_scope": "it has no meaning outside hyper-parameter search",
    "past_index": "no supported model uses it",
    "jit_mode_eval": "transformers has removed it",
    "use_legacy_prediction_loop": "transformers has removed it",
    "tpu_num_cores": "transformers has removed it",
    "tpu_metrics_debug": "transformers has removed it",
    "mp_parameters": "transformers has removed it",
    "_n_gpu": "devices are chosen by the launcher",
    "use_reentrant_gc": "gradient checkpointing is always the non-reentrant kind",
}

# Values that LLaMA-Factory has and we lack, so that one is told from a misspelling.
LATER_CHOICES: Mapping[str, tuple[str, ...]] = {
    "stage": ("pt", "rm", "ppo", "dpo", "kto"),
    "finetuning_type": ("oft",),
    "lr_scheduler_type": ("greedy",),
    "optim": (
        "adamw_torch_4bit", "adamw_torch_8bit", "adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit",
        "paged_adamw_32bit", "ademamix", "ademamix_8bit", "lion_8bit", "lion_32bit", "paged_lion_8bit",
        "paged_lion_32bit", "galore_adamw", "galore_adafactor", "lomo", "adalomo", "grokadamw",
        "schedule_free_adamw", "schedule_free_sgd", "apollo_adamw", "stable_adamw",
    ),
}  # fmt: skip

# What to do instead, for names that many files carry.
HINTS = {
    "hf_hub_token": "Set HF_TOKEN in the environment: secrets do not belong in argument files.",
    "ms_hub_token": "Set MODELSCOPE_API_TOKEN in the environment: secrets do not belong in argument files.",
    "do_predict": "Use `tunesmith eval`, which writes predictions and scores.",
    "predict_with_generate": "Use `tunesmith eval`, which writes predictions and scores.",
    "deepspeed": "Remove it to train on one device.",
    "fsdp": "Remove it to train on one device.",
    "use_unsloth": "Remove it: the engine's own packed attention and labelled-only loss need no patching.",
    "enable_liger_kernel": "Remove it: the loss is already computed on labelled positions only.",
    "quantization_bit": "Remove it to train in bf16 or float32.",
    "infer_backend": "Remove it: the huggingface backend serves.",
}

Translate = Callable[[Any, Mapping[str, Any], Notes], dict[str, Any]]


def _warmup_ratio(value: Any, given: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    """An explicit number of steps beats the ratio, as it always did."""
    if value is None or _number(given.get("warmup_steps")) > 0:
        return {}
    ratio = _number(value)
    if ratio >= 1:
        raise ValueError(f"{value} is not a share below 1. Give a number of steps as warmup_steps.")
    if ratio == 0 and str(value).strip() not in ("0", "0.0"):
        raise ValueError(f"{value!r} is not a share between 0 and 1.")
    return {"warmup_steps": ratio}


def _group_by_length(value: Any, given: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    return {"train_sampling_strategy": "group_by_length"} if _truth(value) else {}


def _adafactor(value: Any, given: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    return {"optim": "adafactor"} if _truth(value) else {}


def _export_max_shard(value: Any, given: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    return {"export_size": value}


def _flash_attn(value: Any, given: Mapping[str, Any], notes: Notes) -> dict[str, Any]:
    if value in ("fa2", "fa3", "flash_attention_2", "flash_attention_3"):
        notes.append(f"flash_attn={value}: served by our own segment-aware attention (flash_attn=auto).")
        return {"flash_attn": "auto"}
    if value is True or value is False:  # older files say flash_attn: true
        return {"flash_attn": "auto"}
    return {"flash_attn": value}


TRANSLATED: dict[str, Translate] = {
    "warmup_ratio": _warmup_ratio,
    "group_by_length": _group_by_length,
    "adafactor": _adafactor,
    "max_shard_size": _export_max_shard,
    "flash_attn": _flash_attn,
}


def modernise(given: Mapping[str, Any]) -> tuple[dict[str, Any], Notes, list[Problem]]:
    """Today's names for yesterday's. Returns the new mapping, a note for each thing a person should know,
    problems.
    """
    notes: Notes = []
    problems: list[Problem] = []
    fresh: dict[str, Any] = {}
    old_last = sorted(given.items(), key=lambda item: item[0] in RENAMED or item[0] in TRANSLATED)
    for name, value in old_last:
        if name in DROPPED:
            notes.append(f"{name} has no effect: {DROPPED[name]}.")
        elif name in RENAMED:
            _take(fresh, RENAMED[name], value, name, given, problems)
        elif name in TRANSLATED:
            try:
                for new, translated in TRANSLATED[name](value, given, notes).items():
                    _take(fresh, new, translated, name, given, problems)
            except ValueError as error:
                problems.append(Problem(name, str(error)))
        else:
            fresh[name] = value
    return fresh, notes, problems


def _take(
    fresh: dict[str, Any], new: str, value: Any, old: str, given: Mapping[str, Any], problems: list[Problem]
) -> None:
    if new != old and new in given and given[new] != value and not (new == "warmup_steps" and not given[new]):
        problems.append(
            Problem(old, f"is the old name of {new}, which is also given ({given[new]}). Keep one of them.")
        )
        return
    fresh[new] = value


@functools.cache
def known_arguments() -> Mapping[str, Any]:
    """name -> LLaMA-Factory's default, for every argument it has."""
    return dict(json.loads(Path(__file__).with_name("known.json").read_text(encoding="utf-8")))


def asks_for_nothing(name: str, value: Any) -> bool:
    """A known argument we lack, left at the value that switches it off or that it has anyway."""
    default = known_arguments()[name]
    if value is None or value == default:
        return True
    words = {"true": True, "false": False, "none": None, "null": None, "": None}
    if isinstance(value, str):
        plain = words.get(value.strip().lower(), value)
        return plain is None or plain == default or plain == str(default)
    return False


def refusal(name: str) -> str:
    """Why a known argument is refused, and the way out."""
    hint = HINTS.get(name, "Remove it to go on without it.")
    return f"is known from LLaMA-Factory but not supported yet. {hint}"


def _truth(value: Any) -> bool:
    return str(value).strip().lower() in ("true", "yes", "on", "1")


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
