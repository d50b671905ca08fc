"""`tunesmith export`: merge the adapters, write the model, load it again, prove it equal, only then show it.

0: the folder is there and proven. 1: the check failed; what was written is kept aside, export_dir untouched.
Try: tunesmith export --model_name_or_path data/tiny-qwen3 --adapter_name_or_path RUN --export_dir /tmp/merged
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.errors import ArgError, Problem
from engine.events import append_event
from engine.export.publish import check_space, check_target, make_staging, publish, set_aside
from engine.models.quiet import hush_libraries
from engine.paths import write_whole

FAILED = 1
SPARE = 1.1
"""room on the disk, as a multiple of the weights"""


def main(loaded: Any, resolved: Any, run: Any) -> int:
    """Export. 0, or 1 when the result is not equal to what was exported. A stop leaves nothing behind."""
    args = resolved.args
    hush_libraries()
    if args.export.export_legacy_format:
        raise ArgError([Problem("export_legacy_format", "only safetensors are written. Leave it false.")])
    sources = [args.model.model_name_or_path, *args.model.adapter_name_or_path]
    target = check_target(args.export.export_dir, overwrite=args.run.overwrite_output_dir, sources=sources)
    print(f"exporting {args.model.model_name_or_path} to {target}", flush=True)
    _report(run, "loading", 0)
    network, tokenizer, chat = _load(args, target)
    _report(run, "loading", 1)
    network, probes, differences = _merge(args, network, chat, run)
    staging = make_staging(target)
    try:
        results = {"export_dir": str(target)} | _write(args, network, tokenizer, chat, staging, run)
        dtype = network.dtype
        del network  # its memory is needed for the copy that is read back
        reread = _read_back(args, staging, chat, probes, dtype, run)
        results |= _verdict(differences, reread)
        with run.cooperative():  # between its two renames a stop would cost the folder that was there before
            if results["verified"]:
                publish(staging, target)
            else:
                results["kept_aside"] = str(set_aside(staging, target))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    write_whole(run.paths.all_results, json.dumps(results, indent=4, ensure_ascii=False) + "\n")
    if not results["verified"]:
        print(f"NOT exported: the written model differs. It is kept in {results['kept_aside']}", flush=True)
        return FAILED
    size = f"{results['shards']} files, {results['size_gb']:.3g} GB"
    print(f"exported to {target}: {size}, proven equal", flush=True)
    return 0


def _load(args: Any, target: Path) -> tuple[Any, Any, Any]:
    """Base model without adapters, tokenizer, chat template. Raises UserError, also when the disk is too
    full.
    """
    from engine.export.merge import load_base
    from engine.models.tokenizer import load_tokenizer
    from engine.templates.chat import load_chat

    tokenizer = load_tokenizer(args.model)
    chat = load_chat(tokenizer, args.template)
    network = load_base(args.model, device=_device(args))
    check_space(target, needed=int(SPARE * _weight_bytes(network)))
    return network, tokenizer, chat


def _merge(args: Any, network: Any, chat: Any, run: Any) -> tuple[Any, Any, list[Any]]:
    """The merged model, its probes, and how far each merge was from the model with the adapter beside it."""
    from engine.export.merge import merge_all

    differences: list[Any] = []
    total = len(args.model.adapter_name_or_path)

    def merged(name: str, difference: Any) -> None:
        differences.append(difference)
        _report(run, "merging", len(differences), total)
        print(f"merged {name}: {difference}", flush=True)

    _report(run, "merging", 0, total)
    network, probes = merge_all(network, args.model, probe_prompts(chat), on_merged=merged)
    return network, probes, differences


def _write(args: Any, network: Any, tokenizer: Any, chat: Any, staging: Path, run: Any) -> dict[str, Any]:
    """Write model and tokenizer; returns the facts of what was written."""
    from engine.models.save import save_model, save_tokenizer, weight_files

    _report(run, "saving", 0)
    set_generation_ends(network, chat)
    save_model(network, staging, max_shard_gb=args.export.export_size)
    if chat.name is not None:
        tokenizer.chat_template = chat.jinja()
    save_tokenizer(tokenizer, staging)
    _report(run, "saving", 1)
    return {
        "dtype": str(network.dtype).removeprefix("torch."),
        "shards": len(weight_files(staging)),
        "size_gb": _weight_bytes(network) / 1e9,
    }


def _read_back(args: Any, staging: Path, chat: Any, probes: Any, dtype: Any, run: Any) -> Any:
    """Load the written folder as anyone would, without naming a template, and compare it with the model in
    memory.
    """
    from engine.export.merge import load_base
    from engine.export.verify import compare, repeat
    from engine.models.tokenizer import load_tokenizer
    from engine.templates.chat import load_chat

    _report(run, "verifying", 0)
    model = dataclasses.replace(
        args.model, model_name_or_path=str(staging), adapter_name_or_path=(), infer_dtype="auto"
    )
    difference = compare(probes, repeat(load_base(model, device=_device(args)), probes), dtype=dtype)
    # Anyone's first use: no template is named, and the other switches stay as they are.
    written = load_chat(
        load_tokenizer(model), dataclasses.replace(args.template, template=None, tool_format=None)
    )
    if _readings(written) != _readings(chat):
        print("the written tokenizer reads a conversation differently from the one in memory", flush=True)
        difference = dataclasses.replace(difference, max_abs=float("inf"))
    # Saving rounds nothing: what is read back is the same to the last bit or it is not what was written.
    difference = dataclasses.replace(difference, limit=0.0)
    _report(run, "verifying", 1)
    print(f"read back: {difference}", flush=True)
    return difference


def _verdict(merges: Sequence[Any], reread: Any) -> dict[str, Any]:
    """Each merge within the tolerance of its number format; what was read back the same to the last bit."""
    return {
        "verified": reread.ok and all(merge.ok for merge in merges),
        "max_abs_logit_difference": max([0.0, *(merge.max_abs for merge in merges)]),
        "allowed_logit_difference": max([0.0, *(merge.limit for merge in merges)]),
        "greedy_tokens_changed": sum(merge.greedy_changed for merge in merges),
        "reread_equal": reread.ok,
    }


def probe_prompts(chat: Any) -> list[list[int]]:
    """The probe questions as this model is asked them."""
    from engine.export.verify import QUESTIONS

    return [chat.prompt_ids([{"role": "user", "content": question}]) for question in QUESTIONS]


def _readings(chat: Any) -> list[tuple[str, list[int]]]:
    """The probe questions as text and as that text's ids.

    Not prompt_ids: a named template is tokenised piece by piece, which no Jinja template can ask for.
    """
    from engine.export.verify import QUESTIONS

    texts = [chat.prompt_text([{"role": "user", "content": question}]) for question in QUESTIONS]
    return [(text, chat.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]


def set_generation_ends(network: Any, chat: Any) -> None:
    """Let generation_config.json name every token that ends an answer, so that any server stops there."""
    shipped = network.generation_config.eos_token_id
    ids = [*chat.stop_token_ids(), *(shipped if isinstance(shipped, list) else [shipped])]
    ids = list(dict.fromkeys(token_id for token_id in ids if token_id is not None))
    network.generation_config.eos_token_id = ids
    network.generation_config.pad_token_id = chat.tokenizer.pad_token_id


def _report(run: Any, phase: str, current: int, total: int = 1) -> None:
    append_event(run.paths.trainer_log, {"phase": phase, "current": current, "total": total})


def _device(args: Any) -> str | None:
    """None: the GPU where there is one."""
    return "cpu" if args.export.export_device == "cpu" else None


def _weight_bytes(network: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in network.parameters())
