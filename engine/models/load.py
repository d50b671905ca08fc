"""Weights into memory: for training (one dtype decision, random or read) and for inference (adapters merged).

Safetensors only: a pickle can run code. Adapters for training are in engine/models/adapters.
Try: python -m engine.models.load data/tiny-qwen3
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from engine import env
from engine.models import attention as segment
from engine.models.source import Source, adapter_path, locate
from engine.models.tokenizer import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from engine.schema.model import ModelArgs
    from engine.schema.optimization import OptimizationArgs

ATTENTION = {"auto": segment.NAME, "ours": segment.NAME, "sdpa": "sdpa", "disabled": "eager"}


def compute_dtype(optimization: OptimizationArgs) -> torch.dtype:
    """The dtype of matrix products, and of weights that do not train. Trained weights stay float32 unless
    pure.
    """
    if optimization.bf16 or optimization.pure_bf16:
        return torch.bfloat16
    return torch.float16 if optimization.fp16 else torch.float32


def attention_for(model: ModelArgs, config: PreTrainedConfig) -> str:
    """The attention implementation for training. `auto` avoids ours where the architecture needs what it
    lacks.
    """
    text = config.get_text_config()
    special = getattr(text, "attn_logit_softcapping", None) or config.model_type == "gpt_oss"
    if model.flash_attn == "auto" and special:
        return "eager"
    return ATTENTION[model.flash_attn]


def load_config(model: ModelArgs) -> PreTrainedConfig:
    source = locate(model, what="configuration")
    with source.explained():
        return AutoConfig.from_pretrained(source.path, **source.options)


def load_model(
    model: ModelArgs,
    *,
    dtype: torch.dtype | str,
    attention: str,
    trainable: bool,
    device: str | None = None,
) -> PreTrainedModel:
    """Load the base model, without adapters. `dtype` may be "auto" (the checkpoint's). Raises UserError.

    trainable=True leaves it on the CPU in train mode with every parameter requiring a gradient (the trainer
    moves it); False puts it on `device`, the GPU where there is one, in eval mode and frozen.
    """
    if attention == segment.NAME:
        segment.register()
    logging.disable_progress_bar()
    source = locate(model, what="weights")
    network = _from_scratch(model, source, dtype, attention) if model.train_from_scratch else None
    if network is None:
        with source.explained():
            network = AutoModelForCausalLM.from_pretrained(
                source.path,
                dtype=dtype,
                attn_implementation=attention,
                use_safetensors=True,
                **source.options,
            )
    _make_savable(network)
    if trainable:
        return network.train()
    network.requires_grad_(False)
    return network.to(device or default_device()).eval()


def load_for_inference(
    model: ModelArgs, *, device: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Base model with every adapter merged in order, in eval mode, and its tokenizer. Raises UserError."""
    device = device or default_device()
    tokenizer = load_tokenizer(model)
    network = load_model(
        model, dtype=inference_dtype(model, device), attention="sdpa", trainable=False, device=device
    )
    network.config.use_cache = True
    return merge_adapters(network, model), tokenizer


def merge_adapters(network: PreTrainedModel, model: ModelArgs) -> PreTrainedModel:
    """Add each adapter of the arguments to the weights, first to last. Raises UserError where one does not
    fit.
    """
    if not model.adapter_name_or_path:
        return network
    from engine.models.adapters.lora import merge

    for path in model.adapter_name_or_path:
        network = merge(network, adapter_path(model, path))
    return network


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def inference_dtype(model: ModelArgs, device: str) -> torch.dtype | str:
    """infer_dtype; `auto` is the checkpoint's, but float32 on a CPU that would only emulate the half
    formats.
    """
    if model.infer_dtype != "auto":
        return getattr(torch, model.infer_dtype)
    stored = load_config(model).dtype
    if device == "cpu" and (stored == torch.float16 or not env.probe_machine().cpu_bf16):
        return torch.float32
    return stored or torch.float32


def _from_scratch(
    model: ModelArgs, source: Source, dtype: torch.dtype | str, attention: str
) -> PreTrainedModel:
    config = load_config(model)
    with source.explained():
        return AutoModelForCausalLM.from_config(
            config,
            dtype=torch.float32 if dtype == "auto" else dtype,
            attn_implementation=attention,
            trust_remote_code=model.trust_remote_code,
        )


def _make_savable(network: PreTrainedModel) -> None:
    """Some published models sample with settings that their own do_sample=false contradicts; saving refuses
    that.
    """
    generation = network.generation_config
    if generation is None or generation.do_sample:
        return
    if any(
        value not in (None, 1.0) for value in (generation.temperature, generation.top_p, generation.typical_p)
    ):
        generation.do_sample = True


if __name__ == "__main__":
    import sys

    from engine.schema.model import ModelArgs as Args

    print(load_model(Args(model_name_or_path=sys.argv[1]), dtype="auto", attention="sdpa", trainable=False))
