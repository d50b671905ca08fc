"""The data path against the tokenizer alone: raw alpaca rows to cached, packed arrays, and a bare
`tokenizers` batch encode of the same rendered texts.

50,000 rows of about 190 tokens, of a seeded vocabulary of made-up words; the tokenizer of data/tiny-qwen3. A
side is a fresh process; what it imports is not counted, except where the second run is timed from its start.
CPU seconds are user and system time of the process and its workers. The bare encode has one thread. Memory is
the most that the process and its workers held together, shared pages once. Sides alternate; then rows are
streamed, shuffled and packed in a buffer, and the memory is noted along the way.

    python benchmarks/preprocess.py [--pairs 3] [--rows 50000] [--streamed 1000000]
writes benchmarks/preprocess.md
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
MODEL = REPO / "data" / "tiny-qwen3"
CUTOFF_LEN, BATCH = 2048, 1000
BARE, ONE, TWO, AGAIN = "bare encode, 1 thread", "1 process", "2 workers", "2nd run, from the cache"
SIDES = (BARE, ONE, TWO, AGAIN)
LIMITS = {"cpu": 1.35, "wall": 0.75, "memory_gb": 1.0, "again_s": 3.0}
COMMON = (
    "the of to and a in is that for it as with was on be by at this are or from an have not they which you "
    "were can one all their has more when will would who so no out up into do any your what some could"
)
STARTS = "b c d f g h l m n p r s t v w st tr ch sh th pl br gr fl cl"
VOWELS = "a e i o u ai ea ou ie oo"
ENDS = ["", "", "n", "r", "s", "t", "l", "nd", "ng", "ck", "st", "m"]


def make_inputs(where: Path, num_rows: int, num_streamed: int) -> None:
    """rows.json, and a folder of links to one file of JSON lines, long enough for the stream."""
    rng = random.Random(0)
    words = ["".join(_syllables(rng)) for _ in range(20_000)]
    rows = [_row(rng, words) for _ in range(num_rows)]
    (where / "rows.json").write_text(json.dumps(rows, indent=1))
    lines = where / "lines.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (where / "many").mkdir()
    for number in range(-(-num_streamed // num_rows)):
        os.link(lines, where / "many" / f"part-{number:03}.jsonl")
    info = {"rows": {"file_name": "rows.json"}, "many": {"file_name": "many"}}
    (where / "dataset_info.json").write_text(json.dumps(info))


def _syllables(rng: random.Random) -> list[str]:
    count = rng.choice((1, 1, 2, 2, 2, 3, 3, 4))
    starts, vowels = STARTS.split(), VOWELS.split()
    return [rng.choice(starts) + rng.choice(vowels) + rng.choice(ENDS) for _ in range(count)]


def _row(rng: random.Random, words: list[str]) -> dict[str, str]:
    question, answer = 8 + int(rng.expovariate(1 / 7)), 8 + int(rng.expovariate(1 / 28))
    extra = _text(rng, words, 8) if rng.random() < 0.3 else ""
    return {
        "instruction": _text(rng, words, question),
        "input": extra,
        "output": _text(rng, words, answer),
    }


def _text(rng: random.Random, words: list[str], count: int) -> str:
    """Common words half of the time, rare ones the rarer the later they stand; sentences and paragraphs."""
    said, begins, common = [], True, COMMON.split()
    for _ in range(count):
        word = rng.choice(common) if rng.random() < 0.5 else words[int(len(words) * rng.random() ** 4)]
        word = word.capitalize() if begins else word
        begins = rng.random() < 0.09
        if begins:
            word += rng.choice((".", ".", ".", "?", "!", ".\n\n", ":\n-"))
        elif rng.random() < 0.06:
            word += rng.choice((",", ",", ";", " (3)", f" {rng.randrange(1000)}"))
        said.append(word)
    return " ".join(said)


def run_side(side: str, where: Path, num_streamed: int) -> dict:
    """One measured run in this process."""
    if side == "stream":
        return stream(where, num_streamed)
    return bare(where) if side == BARE else engine(side, where)


def bare(where: Path) -> dict:
    from engine.data.example import ASSISTANT, USER, Example, Message
    from engine.data.render import render

    tokenizer, chat = _tokenizer()
    texts = []
    for row in json.loads((where / "rows.json").read_text()):
        question = "\n".join(part for part in (row["instruction"], row["input"]) if part)
        example = Example((Message(USER, question), Message(ASSISTANT, row["output"])))
        texts.append(render([example], chat)[0].text)
    backend = tokenizer.backend_tokenizer
    cpu, wall = _cpu_s(), time.monotonic()
    tokens = 0
    for batch in itertools.batched(texts, BATCH) if sys.version_info >= (3, 12) else _batched(texts):
        tokens += sum(map(len, backend.encode_batch(list(batch), add_special_tokens=False)))
    return {"cpu_s": _cpu_s() - cpu, "wall_s": time.monotonic() - wall, "tokens": tokens}


def _batched(texts: list[str]) -> list[list[str]]:
    return [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]


def engine(side: str, where: Path) -> dict:
    from engine.data.pipeline import load_datasets
    from engine.schema.data import DataArgs, TemplateArgs

    tokenizer, _ = _tokenizer()
    if side != AGAIN:
        shutil.rmtree(where / "cache", ignore_errors=True)
    data = DataArgs(
        dataset=("rows",),
        dataset_dir=str(where),
        cutoff_len=CUTOFF_LEN,
        packing=True,
        preprocessing_num_workers=1 if side == ONE else 2,
    )
    cpu, wall = _cpu_s(), time.monotonic()
    prepared = load_datasets(data, TemplateArgs(), tokenizer, seed=1, cache_dir=where / "cache")
    return {
        "cpu_s": _cpu_s() - cpu,
        "wall_s": time.monotonic() - wall,
        "tokens": sum(account.tokens for account in prepared.report.datasets),
        "rows": prepared.report.train_rows,
        "fill": prepared.report.packing_fill,
    }


def stream(where: Path, num_rows: int) -> dict:
    """RSS of this process after each tenth of the rows."""
    import psutil

    from engine.data.pipeline import load_datasets
    from engine.schema.data import DataArgs, TemplateArgs

    tokenizer, _ = _tokenizer()
    data = DataArgs(
        dataset=("many",), dataset_dir=str(where), cutoff_len=CUTOFF_LEN, packing=True, streaming=True
    )
    prepared = load_datasets(data, TemplateArgs(), tokenizer, seed=1, cache_dir=where / "cache")
    process, seen, rss = psutil.Process(), 0, []
    cpu = _cpu_s()
    for row in prepared.train:
        before, seen = seen, seen + len(row["lengths"])
        if before * 10 // num_rows != seen * 10 // num_rows:
            rss.append(process.memory_info().rss / 2**20)
        if seen >= num_rows:
            break
    return {"rows": seen, "rss_mb": rss, "cpu_s": _cpu_s() - cpu}


def _tokenizer() -> tuple:
    from transformers import AutoTokenizer

    from engine.schema.data import TemplateArgs
    from engine.templates.chat import load_chat

    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    return tokenizer, load_chat(tokenizer, TemplateArgs())


def _cpu_s() -> float:
    return sum(os.times()[:4])


def measure(side: str, where: Path, num_streamed: int) -> dict:
    """A side in a process of its own, its memory watched from here."""
    import psutil

    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    environment["TOKENIZERS_PARALLELISM"] = "false"
    command = [sys.executable, __file__, "--side", side, "--where", str(where)]
    command += ["--streamed", str(num_streamed)]
    began = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        process, peak = psutil.Process(child.pid), 0
        while child.poll() is None:
            peak = max(peak, _held(process))
            time.sleep(0.1)
        output = child.stdout.read()
    if child.returncode:
        raise SystemExit(f"{side}: exit code {child.returncode}")
    found = json.loads(output.splitlines()[-1])
    return {**found, "memory_gb": peak / 2**30, "from_start_s": time.monotonic() - began}


def _held(process) -> int:
    import psutil

    total = 0
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for one in family:
        try:
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError):
            continue
    return total


def report(runs: dict[str, list[dict]], streamed: dict, num_rows: int) -> str:
    tokens = runs[BARE][0]["tokens"]
    lines = [
        "# The data path against a bare encode",
        "",
        "Written by `python benchmarks/preprocess.py`; what is measured stands at its head.",
        "",
        f"{processor()}, {len(os.sched_getaffinity(0))} cores, {num_rows:,} rows of {tokens / num_rows:.0f} "
        f"tokens, {len(runs[BARE])} runs of each in turn; the median, and of each run's ratio to the bare "
        "encode beside it the median and the range.",
        "",
        "| | CPU s | x bare | wall s | x bare | peak GB |",
        "|---|---|---|---|---|---|",
    ]
    for side in SIDES:
        middle = {key: statistics.median(run[key] for run in runs[side]) for key in _FIGURES}
        cpu, wall = (ratios(runs, side, key) for key in ("cpu_s", "wall_s"))
        lines.append(
            f"| {side} | {middle['cpu_s']:.2f} | {_spread(cpu)} | {middle['wall_s']:.2f} | {_spread(wall)} | "
            f"{middle['memory_gb']:.2f} |"
        )
    again_s = statistics.median(run["from_start_s"] for run in runs[AGAIN])
    checks = {
        f"CPU of either, x bare (limit {LIMITS['cpu']})": max(
            statistics.median(ratios(runs, side, "cpu_s")) for side in (ONE, TWO)
        ) <= LIMITS["cpu"],
        f"wall at 2 workers, x bare (limit {LIMITS['wall']})":
            statistics.median(ratios(runs, TWO, "wall_s")) <= LIMITS["wall"],
        f"peak memory (limit {LIMITS['memory_gb']:g} GB)": max(
            run["memory_gb"] for side in (ONE, TWO) for run in runs[side]
        ) <= LIMITS["memory_gb"],
        f"second run, from the start of its process (limit {LIMITS['again_s']:g} s)":
            again_s <= LIMITS["again_s"],
    }  # fmt: skip
    rss = streamed["rss_mb"]
    lines += [
        "",
        f"The second run takes {again_s:.2f} s from the start of its process, imports included. Packed rows "
        f"are {runs[TWO][0]['fill']:.1%} full.",
        "",
        *[f"- {'met' if met else 'MISSED'}: {name}" for name, met in checks.items()],
        "",
        f"{streamed['rows']:,} rows streamed in {streamed['cpu_s']:.0f} CPU s. Memory of the process after "
        f"each tenth, in MB: {', '.join(f'{value:.0f}' for value in rss)}; growth after the first "
        f"{rss[-1] - rss[0]:+.0f} MB.",
        "",
    ]
    return "\n".join(lines)


_FIGURES = ("cpu_s", "wall_s", "memory_gb", "from_start_s")


def ratios(runs: dict[str, list[dict]], side: str, key: str) -> list[float]:
    """Each run of `side` over the bare encode of its round."""
    return [run[key] / base[key] for run, base in zip(runs[side], runs[BARE], strict=True)]


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--streamed", type=int, default=1_000_000)
    parser.add_argument("--side", choices=(*SIDES, "stream"))
    parser.add_argument("--where", type=Path)
    parser.add_argument("--dry", action="store_true", help="do not write benchmarks/preprocess.md")
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run_side(options.side, options.where, options.streamed)))
        return
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        make_inputs(where, options.rows, options.streamed)
        runs: dict[str, list[dict]] = {side: [] for side in SIDES}
        for _ in range(options.pairs):
            for side in SIDES:
                runs[side].append(measure(side, where, options.streamed))
                latest = runs[side][-1]
                print(f"{side}: {latest['cpu_s']:.2f} CPU s, {latest['wall_s']:.2f} s, "
                      f"{latest['memory_gb']:.2f} GB", flush=True)  # fmt: skip
        streamed = measure("stream", where, options.streamed)
    text = report(runs, streamed, options.rows)
    if not options.dry:
        (REPO / "benchmarks" / "preprocess.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
