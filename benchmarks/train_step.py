"""Training speed against a plain PyTorch loop over the same rows, and the same loss at every step.

One YAML, 2,000 rows of uneven length (log-normal), about 30 % of their tokens labelled. The engine runs
through its own entry point, without packing and with it; the plain loop pads each batch to its longest row
and takes the loss over all positions and the full vocabulary. Both use the same rows in the same order, the
same optimiser, schedule and clipping, float32, one thread. CPU time is the process's own and covers the
training alone, not imports and loading. Runs alternate.

    python benchmarks/train_step.py [--pairs 3] [--steps 60]     writes benchmarks/train_step.md
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

REPO = Path(__file__).resolve().parent.parent
WORDS = [
    "the",
    "small",
    "river",
    "runs",
    "down",
    "to",
    "a",
    "wide",
    "green",
    "sea",
    "where",
    "seven",
    "boats",
    "wait",
    "for",
    "wind",
    "and",
    "rain",
    "to",
    "pass",
    "by",
    "noon",
]
SIDES = ("plain loop, padded", "engine, packing off", "engine, packing on")
NUM_ROWS, BATCH_SIZE, CUTOFF = 2000, 8, 1024


def make_inputs(where: Path) -> None:
    """Rows, dataset_info.json, a model folder and the YAML that names them."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(mean=np.log(70), sigma=0.8, size=NUM_ROWS), 6, 700).astype(int)
    rows = []
    for length in lengths:
        words = rng.choice(WORDS, length).tolist()
        cut = max(1, round(length * 0.67))
        rows.append(
            {"instruction": " ".join(words[:cut]), "input": "", "output": " ".join(words[cut:]) or "yes"}
        )
    (where / "rows.json").write_text(json.dumps(rows))
    (where / "dataset_info.json").write_text(json.dumps({"uneven": {"file_name": "rows.json"}}))
    (where / "bench.yaml").write_text(
        f"model_name_or_path: {model_folder(where)}\nstage: sft\nfinetuning_type: full\ndataset: uneven\n"
        f"dataset_dir: {where}\ncutoff_len: {CUTOFF}\nper_device_train_batch_size: {BATCH_SIZE}\n"
        "learning_rate: 1.0e-4\nlogging_steps: 1\nsave_strategy: 'no'\nuse_cpu: true\nseed: 1\n"
    )


def model_folder(where: Path) -> Path:
    """A copy of the tiny model, so that every run of the benchmark reads the same weights."""
    return shutil.copytree(REPO / "data" / "tiny-qwen3", where / "tiny-qwen3")


def run_side(side: str, where: Path, steps: int) -> dict:
    """One measured run in this process: tokens, CPU seconds, wall seconds, losses."""
    import torch

    from engine.env import probe_machine
    from engine.schema.load import load_argv
    from engine.schema.resolve import resolve

    torch.set_num_threads(1)
    packing = "true" if side.endswith("on") else "false"
    root = where / "out"
    argv = [str(where / "bench.yaml"), f"max_steps={steps}", f"packing={packing}", f"output_dir={root}"]
    loaded = load_argv("train", argv)
    resolved = resolve("train", loaded.args, probe_machine())
    return (
        plain_loop(resolved.args, where) if side.startswith("plain") else engine_run(loaded, resolved, root)
    )


def engine_run(loaded: object, resolved: object, root: Path) -> dict:
    from engine.paths import RunPaths
    from engine.train import run
    from engine.train.trainer import StageTrainer

    measured = {}
    inherited = StageTrainer.train

    def timed(trainer: StageTrainer, *args: object, **kwargs: object) -> object:
        cpu, wall = time.process_time(), time.monotonic()
        outcome = inherited(trainer, *args, **kwargs)
        measured.update(cpu_s=time.process_time() - cpu, wall_s=time.monotonic() - wall)
        measured["tokens"] = trainer.state.num_input_tokens_seen
        measured["losses"] = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        return outcome

    StageTrainer.train = timed
    root.mkdir(exist_ok=True)
    this = SimpleNamespace(
        paths=RunPaths(root), stop_requested=lambda: False, cooperative=contextlib.nullcontext
    )
    run.main(loaded, resolved, this)
    return measured


def plain_loop(args: object, where: Path) -> dict:
    """What one would write by hand: pad, forward, full-vocabulary loss, backward, clip, step."""
    import torch
    from torch.nn import functional as F
    from torch.utils.data import DataLoader
    from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup, set_seed

    from engine.data.collate import PaddedCollator
    from engine.data.pipeline import load_datasets
    from engine.paths import cache_dir
    from engine.train.batches import EpochBatches

    tokenizer = AutoTokenizer.from_pretrained(args.model.model_name_or_path)
    table = load_datasets(args.data, args.template, tokenizer, seed=1, cache_dir=cache_dir()).train
    order = EpochBatches(len(table), BATCH_SIZE, order="random", seed=1)
    loader = DataLoader(table, batch_sampler=order, collate_fn=PaddedCollator(tokenizer.pad_token_id))
    set_seed(1)
    network = AutoModelForCausalLM.from_pretrained(
        args.model.model_name_or_path, attn_implementation="sdpa"
    ).float()
    network.train()
    steps, settings = args.optimization.max_steps, args.optimization
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=0.0, fused=True
    )
    schedule = get_linear_schedule_with_warmup(optimizer, 0, steps)
    losses, tokens, epoch = [], 0, 0
    cpu, wall = time.process_time(), time.monotonic()
    while len(losses) < steps:
        order.set_epoch(epoch)
        epoch += 1
        for batch in loader:
            logits = network(
                batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
            ).logits
            labels = batch["labels"][:, 1:].flatten()
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels, ignore_index=-100)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            tokens += int(batch["attention_mask"].sum())
            if len(losses) == steps:
                break
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.monotonic() - wall,
        "tokens": tokens,
        "losses": losses,
    }


def measure(side: str, where: Path, steps: int) -> dict:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(REPO),
        "TUNESMITH_SAVES": str(where / "saves"),
    }
    command = [sys.executable, __file__, "--side", side, "--where", str(where), "--steps", str(steps)]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def largest_gap(ours: dict, theirs: dict) -> float:
    return max(abs(a - b) for a, b in zip(ours["losses"], theirs["losses"], strict=True))


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def report(runs: dict[str, list[dict]], steps: int) -> str:
    plain, unpacked = (runs[side] for side in SIDES[:2])
    gap = max(largest_gap(ours, theirs) for ours, theirs in zip(unpacked, plain, strict=True))
    again = max(largest_gap(run, unpacked[0]) for run in unpacked)
    lines = [
        "# Training tokens per CPU-second",
        "",
        "Written by `python benchmarks/train_step.py`; what is measured stands at its head.",
        "",
        f"{processor()}, one thread, float32, {steps} steps of {BATCH_SIZE} rows "
        f"({CUTOFF} tokens each when packed), {len(plain)} runs of each in turn; the median, and the range.",
        "",
        "| | tokens / CPU-s | range | x plain, each pair |",
        "|---|---|---|---|",
    ]
    for side in SIDES:
        speeds = [run["tokens"] / run["cpu_s"] for run in runs[side]]
        pairs = ", ".join(
            f"{(run['tokens'] / run['cpu_s']) / (base['tokens'] / base['cpu_s']):.2f}"
            for run, base in zip(runs[side], plain, strict=True)
        )
        spread = f"{min(speeds):,.0f} to {max(speeds):,.0f}"
        lines.append(f"| {side} | {statistics.median(speeds):,.0f} | {spread} | {pairs} |")
    lines += [
        "",
        f"Largest difference of the loss at any step, plain loop against packing off: {gap:.1e}. "
        f"Between two runs of the engine: {again:.1e}.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--where", type=Path)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run_side(options.side, options.where, options.steps)))
        return
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        make_inputs(where)
        runs: dict[str, list[dict]] = {side: [] for side in SIDES}
        for _ in range(options.pairs):
            for side in SIDES:
                # A packed step holds far more tokens; the time is kept alike.
                steps = max(options.steps // 8, 4) if side.endswith("on") else options.steps
                runs[side].append(measure(side, where, steps))
                latest = runs[side][-1]
                print(f"{side}: {latest['tokens'] / latest['cpu_s']:,.0f} tokens / CPU-s", flush=True)
    text = report(runs, options.steps)
    (REPO / "benchmarks" / "train_step.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
