"""Answers about data as text for a terminal: colour where it is one, the same words without it in a pipe.

Try: tunesmith data preview identity --template qwen3
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine import env

BOLD, DIM, GREEN, RED, YELLOW = "1", "2", "32", "31", "33"
GUTTER_WIDTH = 8
BAR = 40


def paint(text: str, code: str) -> str:
    """The text in a colour, where standard output is a terminal that wants one."""
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() and env.colour_wanted() else text


def printable(text: str) -> str:
    """Control characters of the data as escapes, so that no row can steer the terminal."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def print_list(datasets: Sequence[Mapping[str, Any]]) -> int:
    if not datasets:
        print("No datasets.")
        return 0
    rows = [("NAME", "FORMAT", "ROWS", "SIZE", "FILES")]
    for one in datasets:
        count = "-" if one["rows"] is None else f"{one['rows']:,}"
        files = ", ".join(one["files"]) or one.get("repo") or ""
        last = f"! {one['problem']}" if one["problem"] else files
        rows.append((one["name"], one["formatting"], count, _size(one["size_bytes"]), last))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for number, row in enumerate(rows):
        cells = [
            row[0].ljust(widths[0]),
            row[1].ljust(widths[1]),
            row[2].rjust(widths[2]),
            row[3].rjust(widths[3]),
        ]
        line = "  ".join([*cells, row[4]]).rstrip().replace("\n", " ")
        print(paint(line, BOLD) if number == 0 else paint(line, RED) if row[4].startswith("! ") else line)
    return 0


def _size(size: int) -> str:
    number, units = float(size), ["B", "KB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.0f} {units[0]}" if number >= 10 or units[0] == "B" else f"{number:.1f} {units[0]}"


def print_raw(rows: Iterable[Mapping[str, Any]]) -> int:
    for row in rows:
        print(paint(f"{row['file']}, row {row['number']}", BOLD))
        if row.get("problem"):
            print(paint(f"  {row['problem']}: {printable(row.get('text') or '')[:500]}", RED))
        else:
            print(printable(json.dumps(row["row"], ensure_ascii=False, indent=1)))
    return 0


def print_preview(found: Mapping[str, Any], *, tokens: bool) -> int:
    for row in found["rows"]:
        print(paint(f"{row['file']}, row {row['number']}", BOLD) + paint(_facts(row), DIM))
        if row["problem"]:
            print(paint(f"{'':{GUTTER_WIDTH}}cannot be used: {row['problem']}", RED))
        for tool in row.get("tools", ()):
            print(f"{'tool':<{GUTTER_WIDTH}}{printable(json.dumps(tool, ensure_ascii=False))}")
        _print_example(row, tokens)
        if "rejected" in row:
            print(paint("rejected:" + _facts(row["rejected"]), DIM))
            _print_example(row["rejected"], tokens)
        print()
    for number, members in enumerate(found.get("packs", ()), 1):
        names = ", ".join(str(found["rows"][member]["number"]) for member in members)
        print(f"packed row {number}: rows {names}")
    return _print_notes(found["notes"])


def _facts(row: Mapping[str, Any]) -> str:
    facts = [row["kind"]] if row.get("kind", "chat") != "chat" else []
    if row.get("desirable") is not None:
        facts.append("desirable" if row["desirable"] else "undesirable")
    if row["length"] is not None:
        facts.append(f"{row['length']:,} tokens, {row['learnt']:,} learnt")
    if row["truncated"]:
        facts.append(f"cut to {row['kept']:,}")
    return "  " + ", ".join(facts) if facts else ""


def _print_example(row: Mapping[str, Any], tokens: bool) -> None:
    if tokens and row["tokens"]:
        _print_tokens(row["tokens"])
    else:
        print_spans(row["spans"])
    hidden = row["hidden_tokens"] if tokens else row["hidden_text"]
    if hidden:
        print(
            paint(f"{'':{GUTTER_WIDTH}}... and {hidden:,} more {'tokens' if tokens else 'characters'}", DIM)
        )


def print_spans(spans: Iterable[Mapping[str, Any]]) -> int:
    """Each span from a new line on; a line break of the text is shown as such."""
    for span in spans:
        lines = printable(span["text"]).replace("\n", "\u23ce\n").split("\n")
        for number, line in enumerate(lines):
            if number == len(lines) - 1 and not line and number:
                break
            gutter = "learn" if span["learn"] and number == 0 else "|" if span["learn"] else ""
            text = paint(line, GREEN) if span["learn"] else line
            print(paint(f"{gutter:<{GUTTER_WIDTH}}", DIM) + text)
        if "ids" in span:
            print(paint(f"{'ids':<{GUTTER_WIDTH}}" + " ".join(map(str, span["ids"])), DIM))
    return 0


def _print_tokens(tokens: Iterable[Mapping[str, Any]]) -> None:
    """One token a line: what becomes of it, its id, its text."""
    for token in tokens:
        state = "cut" if token.get("cut") else "learn" if token["learn"] else ""
        text = json.dumps(token["text"], ensure_ascii=False) if token["text"] else token.get("piece", "")
        code = RED if state == "cut" else GREEN if state else ""
        line = f"{state:<{GUTTER_WIDTH}}{token['id']:>7}  {printable(text)}"
        print(paint(line, code) if code else line)


def print_check(found: Mapping[str, Any]) -> int:
    counts = found["counts"]
    for problem in found["problems"]:
        column = f', column "{problem["column"]}"' if problem["column"] else ""
        print(f"{problem['file']}, row {problem['row']}{column}: {paint(printable(problem['reason']), RED)}")
    hidden = counts["bad"] - len(found["problems"])
    if hidden > 0:
        print(f"... and {hidden:,} more")
    if counts["bad"]:
        print(paint(f"{counts['bad']:,} of {counts['read']:,} rows cannot be used:", BOLD))
        for reason, count in counts["reasons"].items():
            print(f"{count:>9,}  {printable(reason)}")
    elif not counts["read"]:
        print(paint("no rows", RED))
    else:
        cut = f"; {counts['truncated']:,} are cut to cutoff_len" if counts["truncated"] else ""
        print(paint(f"all {counts['read']:,} rows can be used{cut}", GREEN))
    return _print_notes(found["notes"])


def print_stats(found: Mapping[str, Any]) -> int:
    of = f" of {found['of']:,}" if found["sample"] and found["of"] else ""
    print(f"{'rows':<16}{found['read']:,}{of} read, {found['used']:,} used")
    for reason, count in found["dropped"].items():
        print(paint(f"{'':<16}{count:,} dropped: {printable(reason)}", RED))
    if found["tokens"] is None:
        print(f"{'tokens':<16}unknown: give --model_name_or_path")
        return _print_notes(found["notes"])
    print(f"{'tokens':<16}{found['tokens']:,}, {found['learnt_share'] or 0:.1%} of them learnt")
    percentiles = found["percentiles"]
    shares = ", ".join(f"{share} % up to {percentiles[share]:,}" for share in percentiles if share != "max")
    print(f"{'length':<16}{shares}, longest {percentiles['max']:,}")
    print(f"{'cutoff_len':<16}{found['cutoff_len']:,}; {found['over_cutoff']:,} rows are longer")
    if found["packed_rows"]:
        would = "" if found["packing"] else "would make "
        print(f"{'packing':<16}{would}{found['packed_rows']:,} rows, {found['packing_fill']:.1%} full")
    if found["steps"]:
        steps = found["steps"]
        about = "about " if steps["estimated"] else ""
        batches = f"{steps['per_epoch']:,} a pass, batches of {steps['batch']}"
        print(f"{'steps':<16}{about}{steps['total']:,} ({batches})")
    print_histogram(found["histogram"], found["cutoff_len"])
    return _print_notes(found["notes"])


def print_histogram(bins: Sequence[Mapping[str, int]], cutoff_len: int) -> None:
    most = max((one["rows"] for one in bins), default=0)
    room = min(BAR, max(10, shutil.get_terminal_size().columns - 32))
    # No row is that short: nothing to see.
    for one in itertools.dropwhile(lambda one: not one["rows"], bins):
        bar = "#" * (round(one["rows"] / most * room) or (1 if one["rows"] else 0))
        over = one["from"] > cutoff_len
        line = f"{one['from']:>7,} to {one['to']:>7,} {one['rows']:>9,}  {bar}"
        print(paint(line.rstrip(), YELLOW) if over else line.rstrip())
        if one["from"] <= cutoff_len < one["to"]:
            print(paint(f"{'':>18}{'cutoff_len':>10}  {'-' * room}", YELLOW))


def print_detected(found: Mapping[str, Any]) -> int:
    print(f"{'format':<12}{found['formatting']} ({found['confidence']:.0%} sure)")
    count = "unknown" if found["rows"] is None else f"{found['rows']:,}"
    print(f"{'rows':<12}{count}, columns {', '.join(found['found']) or 'none'}")
    print(f"{'entry':<12}{json.dumps({found['name']: found['entry']}, ensure_ascii=False)}")
    for other in found["alternatives"]:
        print(f"{'or':<12}{json.dumps(other['entry'], ensure_ascii=False)} ({other['confidence']:.0%})")
    return 0


def _print_notes(notes: Iterable[str]) -> int:
    for note in notes:
        print(paint(f"note: {note}", YELLOW))
    return 0
