"""Greedy answers of a model to the held-out questions, counted kind by kind: exact, and stopped by itself.

Works on any folder that transformers loads; an adapter can be put on top. Knows nothing of the engine, so
that it can judge it. Try: python data/tiny/score.py --model data/tiny-qwen3 --ask "who are you"
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import corpus
import torch
from question import Question
from transformers import AutoModelForCausalLM, AutoTokenizer

TINY = Path(__file__).resolve().parent.parent / "tiny-qwen3"
MAX_NEW_TOKENS = 48


def load(folder: Path, adapter: Path | None = None) -> tuple[Any, Any]:
    """The model in float32, ready to answer, and its tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
    return model.eval(), tokenizer


def answers(
    model: Any, tokenizer: Any, prompts: list[str], *, batch_size: int = 64
) -> list[tuple[str, bool]]:
    """Greedy answer to each prompt, and whether the model ended it itself. Equal lengths share a batch."""
    encoded = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
        )
        for prompt in prompts
    ]
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, ids in enumerate(encoded):
        by_length[len(ids)].append(index)
    found: dict[int, tuple[str, bool]] = {}
    for length, indices in by_length.items():
        for start in range(0, len(indices), batch_size):
            part = indices[start : start + batch_size]
            input_ids_BL = torch.tensor([encoded[index] for index in part])
            with torch.inference_mode():
                output_BL = model.generate(
                    input_ids=input_ids_BL,
                    attention_mask=torch.ones_like(input_ids_BL),
                    max_new_tokens=MAX_NEW_TOKENS,
                    do_sample=False,
                    eos_token_id=tokenizer.eos_token_id,
                    pad_token_id=tokenizer.pad_token_id,
                )
            for index, ids in zip(part, output_BL[:, length:].tolist(), strict=True):
                stopped = tokenizer.eos_token_id in ids
                kept = ids[: ids.index(tokenizer.eos_token_id)] if stopped else ids
                found[index] = (tokenizer.decode(kept), stopped)
    return [found[index] for index in range(len(prompts))]


def score(model: Any, tokenizer: Any, questions: list[Question]) -> dict[str, Any]:
    """Shares in percent: `exact` overall and as the mean over kinds, `stopped`, and both for every kind."""
    started = time.perf_counter()
    given = answers(model, tokenizer, [question.prompt for question in questions])
    kinds: dict[str, dict[str, float]] = {}
    for kind in dict.fromkeys(question.kind for question in questions):
        mine = [(q, *a) for q, a in zip(questions, given, strict=True) if q.kind == kind]
        kinds[kind] = {
            "questions": len(mine),
            "exact": round(100 * sum(text == q.answer for q, text, _ in mine) / len(mine), 1),
            "stopped": round(100 * sum(stopped for _, _, stopped in mine) / len(mine), 1),
        }
    right = sum(text == question.answer for question, (text, _) in zip(questions, given, strict=True))
    return {
        "questions": len(questions),
        "exact": round(100 * right / len(questions), 1),
        "exact_mean_of_kinds": round(sum(entry["exact"] for entry in kinds.values()) / len(kinds), 1),
        "stopped": round(100 * sum(stopped for _, stopped in given) / len(given), 1),
        "kinds": kinds,
        "seconds": round(time.perf_counter() - started, 1),
    }


def table(result: dict[str, Any]) -> str:
    """The scores as a Markdown table."""
    lines = ["| kind | held-out questions | exact, % | stopped, % |", "|---|---|---|---|"]
    for kind, entry in result["kinds"].items():
        lines.append(f"| {kind} | {entry['questions']} | {entry['exact']} | {entry['stopped']} |")
    lines.append(f"| all | {result['questions']} | {result['exact']} | {result['stopped']} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Score a model on the tiny model's held-out questions.")
    parser.add_argument("--model", type=Path, default=TINY)
    parser.add_argument("--adapter", type=Path)
    parser.add_argument("--per_kind", type=int, default=200)
    parser.add_argument("--skip", action="append", default=[], help="leave this kind out")
    parser.add_argument("--ask", action="append", default=[], help="print the answer to this instead")
    parser.add_argument("--wrong", action="store_true", help="print every wrong answer")
    parser.add_argument("--out", type=Path, help="write the scores to this JSON file")
    options = parser.parse_args()
    model, tokenizer = load(options.model, options.adapter)
    if options.ask:
        for prompt, (text, _) in zip(options.ask, answers(model, tokenizer, options.ask), strict=True):
            print(f"{prompt}\n  {text}")
        return
    questions = [q for q in corpus.held_out(options.per_kind) if q.kind not in options.skip]
    if options.wrong:
        given = answers(model, tokenizer, [question.prompt for question in questions])
        for question, (text, _) in zip(questions, given, strict=True):
            if text != question.answer:
                print(f"{question.kind:14} {question.prompt}  ->  {text}   (right: {question.answer})")
        return
    result = score(model, tokenizer, questions)
    print(table(result))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
