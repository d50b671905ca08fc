"""Loading: what a person is told, which dtype, adapters merged in order; saving: modes, shards, templates."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest
import torch

from engine.errors import UserError
from engine.models import save
from engine.models.adapters import apply_adapter, names
from engine.models.load import load_for_inference, load_model
from engine.models.tokenizer import load_tokenizer
from engine.schema.adapter import AdapterArgs
from engine.schema.model import ModelArgs
from engine.schema.optimization import OptimizationArgs


def args(path: Path | str, **more) -> ModelArgs:
    return ModelArgs(model_name_or_path=str(path), **more)


def load(path: Path, **more):
    return load_model(args(path, **more), dtype=torch.float32, attention="sdpa", trainable=True)


def test_missing_folder(tmp_path):
    with pytest.raises(UserError, match="model_name_or_path: there is no folder"):
        load(tmp_path / "nothing")


def test_a_file_is_not_a_model(tiny_random):
    with pytest.raises(UserError, match="is a file"):
        load(tiny_random / "config.json")


def test_a_folder_without_config(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        load_tokenizer(args(tmp_path))


def test_an_adapter_is_not_a_whole_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
    with pytest.raises(UserError, match="model_name_or_path=some/base"):
        load(tmp_path)


def test_a_hub_id_without_network():
    began = time.monotonic()
    with pytest.raises(UserError, match="no folder nobody/nothing here"):
        load_tokenizer(args("nobody/nothing"))
    assert time.monotonic() - began < 10


def test_weights_that_are_missing_or_torn(tiny_random, tmp_path):
    copy = shutil.copytree(tiny_random, tmp_path / "model")
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"weights in .* cannot be read"):
        load(copy)
    weights.unlink()
    with pytest.raises(UserError, match=r"weights in .* cannot be read"):
        load(copy)


def test_pickled_weights_are_not_read(tiny_random, tmp_path):
    copy = shutil.copytree(tiny_random, tmp_path / "model")
    torch.save({}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match="safetensors"):
        load(copy)


def test_a_model_without_a_tokenizer(tiny_random, tmp_path):
    """The library would hand out an empty one, which turns every text into nothing."""
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_random / name).read_bytes())
    with pytest.raises(UserError, match="without a tokenizer"):
        load_tokenizer(args(tmp_path))


def test_from_scratch_needs_no_weights_and_follows_the_seed(tiny_random, tmp_path):
    copy = shutil.copytree(tiny_random, tmp_path / "model")
    (copy / "model.safetensors").unlink()
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(load(copy, train_from_scratch=True).model.embed_tokens.weight)
    assert torch.equal(built[0], built[1]) and not torch.equal(built[0], built[2])


def test_dtype_as_asked_and_frozen_for_inference(tiny_random):
    network, _ = load_for_inference(args(tiny_random, infer_dtype="bfloat16"), device="cpu")
    assert network.dtype == torch.bfloat16 and not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def make_adapter(base: Path, where: Path, *, seed: int, targets: tuple[str, ...] = ("all",)) -> Path:
    torch.manual_seed(seed)
    chosen = AdapterArgs(lora_rank=4, lora_target=targets)
    network = apply_adapter(load(base), chosen, args(base), pure=False)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    save.save_model(network, where)
    tokenizer = load_tokenizer(args(base))
    tokenizer.chat_template = f"template {seed}"
    save.save_tokenizer(tokenizer, where)
    return where


def test_adapters_are_merged_in_order_with_the_last_ones_tokenizer(tiny_random, tmp_path):
    first = make_adapter(tiny_random, tmp_path / "first", seed=1)
    both = make_adapter(tiny_random, tmp_path / "second", seed=2)
    merged, tokenizer = load_for_inference(
        args(tiny_random, adapter_name_or_path=(str(first), str(both)), infer_dtype="float32"), device="cpu"
    )
    assert tokenizer.chat_template == "template 2"
    plain = load(tiny_random)
    name = "model.layers.0.self_attn.q_proj.weight"
    change = torch.zeros_like(plain.get_parameter(name))
    for path in (first, both):
        from safetensors.torch import load_file

        state = load_file(path / "adapter_model.safetensors")
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        change += 2 * state[f"{stem}.lora_B.weight"] @ state[f"{stem}.lora_A.weight"]
    assert torch.allclose(merged.get_parameter(name), plain.get_parameter(name) + change, atol=1e-5)
    assert not hasattr(merged, "peft_config") or not merged.peft_config


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hidden_size": 64}, "size mismatch"),
        ({"layers": 3}, "holds 12 matrices, this model has places for 8"),
        ({"layers": 1}, "missing"),
    ],
    ids=["wider", "deeper", "shallower"],
)
def test_an_adapter_of_another_model(tiny_random, tmp_path, change, what):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    other = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=259,
            hidden_size=change.get("hidden_size", 32),
            intermediate_size=64,
            num_hidden_layers=change.get("layers", 2),
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
        )
    )
    other.save_pretrained(tmp_path / "other")
    load_tokenizer(args(tiny_random)).save_pretrained(tmp_path / "other")
    adapter = make_adapter(tmp_path / "other", tmp_path / "adapter", seed=1, targets=("q_proj", "v_proj"))
    with pytest.raises(UserError, match=f"does not fit.*({what})"):
        load_for_inference(args(tiny_random, adapter_name_or_path=(str(adapter),)), device="cpu")


def test_saved_files_follow_the_umask_and_the_shard_size(tiny_random, tmp_path):
    old = os.umask(0o027)
    try:
        save.save_model(load(tiny_random), tmp_path / "out", max_shard_gb=0.00005)
    finally:
        os.umask(old)
    files = save.weight_files(tmp_path / "out")
    assert len(files) > 1
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "out").iterdir()} == {0o640}


def test_sharded_weights_come_back_into_a_live_model(tiny_random, tmp_path):
    source = load(tiny_random)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(1)
    save.save_model(source, tmp_path, max_shard_gb=0.00005)
    target = load(tiny_random)
    save.load_weights(target, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    assert target.lm_head.weight is target.model.embed_tokens.weight


def test_methods_are_listed_by_their_files():
    assert names() == ("freeze", "full", "lora")


def test_freeze_trains_what_it_says(tiny_random):
    chosen = AdapterArgs(
        finetuning_type="freeze",
        freeze_trainable_layers=-1,
        freeze_trainable_modules=("mlp",),
        freeze_extra_modules=("norm",),
    )
    network = apply_adapter(load(tiny_random), chosen, args(tiny_random), pure=False)
    trains = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trains == {
        "model.norm.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
    }


@pytest.mark.parametrize("pure", [False, True])
def test_trained_weights_are_float32_unless_pure(tiny_random, pure):
    network = load_model(args(tiny_random), dtype=torch.bfloat16, attention="sdpa", trainable=True)
    network = apply_adapter(network, AdapterArgs(finetuning_type="freeze"), args(tiny_random), pure=pure)
    trained = {parameter.dtype for parameter in network.parameters() if parameter.requires_grad}
    frozen = {parameter.dtype for parameter in network.parameters() if not parameter.requires_grad}
    assert trained == {torch.bfloat16 if pure else torch.float32}
    assert frozen == {torch.bfloat16}


def test_compute_dtype():
    from engine.models.load import compute_dtype

    assert compute_dtype(OptimizationArgs(bf16=True)) == torch.bfloat16
    assert compute_dtype(OptimizationArgs()) == torch.float32
