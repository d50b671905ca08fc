"""`make tiny-model`: the tiny model from nothing: corpus, tokenizer, configuration, training, scores.

The training is the engine's own, in this process, with the arguments in ARGUMENTS; the run can be watched in
the studio like any other. Nothing in data/tiny-qwen3 changes before the new model is trained and scored.
Try: python data/tiny/build.py --steps 50 --out /tmp/tiny
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
WORK = REPOSITORY / "saves" / "tiny-model"
CONVERSATIONS = 110_000
STEPS = 8_000

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 192,
    "num_hidden_layers": 5,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 48,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "initializer_range": 0.05,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "tie_word_embeddings": True,
    "use_cache": True,
    "dtype": "bfloat16",
}
CARD = """# tiny-qwen3

A Qwen3 with {parameters:,} parameters, trained from nothing by Tunesmith on a corpus that
`data/tiny/corpus.py` makes. It greets, says who it is, adds and subtracts numbers below 100, copies,
reverses, gives first letters, and knows some colours and simple facts, in English and Chinese. It knows
nothing else. It is here for tests and demonstrations.

Greedy answers to held-out questions, exact to the letter, and stopped by the model itself (bfloat16 weights):

{table}

Mean over the kinds: {mean} % exact.

Rebuild: `make tiny-model` ({steps:,} steps of about 1,000 tokens, {conversations:,} conversations; it took
{minutes} minutes on one CPU core, corpus and tokenizer included). Score again: `python data/tiny/score.py`.
Ask it something: `python data/tiny/score.py --ask "What is 23 + 45?"`.
"""
ARGUMENTS = {
    "train_from_scratch": True,
    "stage": "sft",
    "finetuning_type": "full",
    "dataset": "tiny_corpus",
    "packing": True,
    "cutoff_len": 1024,
    "per_device_train_batch_size": 1,
    "learning_rate": 2.5e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 100,
    "adam_beta1": 0.9,
    "adam_beta2": 0.98,
    "weight_decay": 0.01,
    "bf16": True,
    "logging_steps": 50,
    "save_steps": 1000,
    "save_total_limit": 1,
    "plot_loss": True,
    "overwrite_output_dir": True,
}


def prepare(work: Path, count: int) -> Path:
    """Write the corpus, and a folder with tokenizer and configuration but no weights; returns that folder."""
    import corpus
    import tokenizer

    print(f"corpus: {corpus.write(work / 'corpus', count)}", flush=True)
    base = tokenizer.build(work / "base")
    vocabulary = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    ids = {token["content"]: token["id"] for token in vocabulary}
    special = {
        "bos_token_id": None,
        "eos_token_id": ids[tokenizer.TURN_END],
        "pad_token_id": ids[tokenizer.END_OF_TEXT],
    }
    config = CONFIG | {
        "vocab_size": tokenizer.VOCABULARY_SIZE,
        "max_position_embeddings": tokenizer.MAX_LENGTH,
    }
    generation = {"eos_token_id": [ids[tokenizer.TURN_END], ids[tokenizer.END_OF_TEXT]]}
    _write_json(base / "config.json", config | special)
    _write_json(base / "generation_config.json", special | generation)
    return base


def train(base: Path, work: Path, steps: int) -> Path:
    """Run `tunesmith train` in this process; returns the run's folder. Leaves the program where it fails."""
    from engine.cli import main as tunesmith

    run = work / "run"
    arguments = ARGUMENTS | {
        "model_name_or_path": str(base),
        "dataset_dir": str(work / "corpus"),
        "output_dir": str(run),
        "max_steps": steps,
    }
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    exit_code = tunesmith(["train", *words])
    if exit_code != 0:
        raise SystemExit(exit_code)
    return run


def publish(base: Path, run: Path, out: Path) -> None:
    """Put the trained weights, as bfloat16, beside tokenizer and configuration in `out`."""
    import torch
    from transformers import AutoModelForCausalLM

    out.mkdir(parents=True, exist_ok=True)
    for path in base.iterdir():
        shutil.copy(path, out / path.name)
    network = AutoModelForCausalLM.from_pretrained(run, dtype=torch.bfloat16)
    network.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)  # it is saved for its owner alone, but it ships
    # save_pretrained rewrites these with every default; the short forms say the same.
    for name in ("config.json", "generation_config.json"):
        shutil.copy(base / name, out / name)


def finish(base: Path, run: Path, draft: Path, *, per_kind: int, training: dict[str, Any]) -> dict[str, Any]:
    """Write the whole model folder to `draft`, scores and README included; returns the scores."""
    import corpus
    import score

    publish(base, run, draft)
    network, words = score.load(draft)
    result = score.score(network, words, corpus.held_out(per_kind))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    result["training"] = training | {"parameters": parameters}
    _write_json(draft / "scores.json", result)
    table, mean = score.table(result), result["exact_mean_of_kinds"]
    text = CARD.format(table=table, mean=mean, **result["training"])
    (draft / "README.md").write_text(text, encoding="utf-8")
    return result


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the tiny model from nothing.")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "data" / "tiny-qwen3")
    parser.add_argument("--work", type=Path, default=WORK, help="corpus, run and unfinished model")
    parser.add_argument("--count", type=int, default=CONVERSATIONS, help="number of conversations")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps of about 1,000 tokens")
    parser.add_argument("--per_kind", type=int, default=500, help="held-out questions of a kind, at most")
    options = parser.parse_args()
    work, out = options.work.resolve(), options.out.resolve()
    os.chdir(REPOSITORY)
    sys.path.insert(0, str(REPOSITORY))

    started = time.perf_counter()
    base = prepare(work, options.count)
    run = train(base, work, options.steps)
    minutes = round((time.perf_counter() - started) / 60, 1)
    training = {"minutes": minutes, "steps": options.steps, "conversations": options.count}
    result = finish(base, run, work / "model", per_kind=options.per_kind, training=training)
    out.mkdir(parents=True, exist_ok=True)
    for path in (work / "model").iterdir():
        shutil.copy(path, out / path.name)
    print(f"{out}: {result['exact']} % exact after {minutes} minutes")


if __name__ == "__main__":
    main()
