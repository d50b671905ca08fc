"""Following files by byte offset: nothing twice, nothing lost, wherever it is cut."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import append_event
from engine.jobs import tail


def test_first_look_is_the_last_64_kb(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("".join(f"line {number}\n" for number in range(20_000)))
    part = tail.read_log(log, None, ended=False)
    assert part.reset and not part.more
    assert 60_000 < len(part.text) <= tail.FIRST_LOG_BYTES
    assert part.text.startswith("line ") and part.text.endswith("line 19999\n")
    assert part.offset == log.stat().st_size
    assert tail.read_log(log, part.offset, ended=False) == tail.LogPart("", part.offset, False, False)


def test_unfinished_line_waits_for_its_end_or_the_run_s(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes("one\ntwo 名".encode()[:-1])
    part = tail.read_log(log, 0, ended=False)
    assert (part.text, part.offset) == ("one\n", 4)
    assert tail.read_log(log, 4, ended=False).text == ""
    assert tail.read_log(log, 4, ended=True).text == "two \ufffd"


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab 名é\n", max_size=60), st.lists(st.integers(0, 200), max_size=6))
def test_log_in_pieces_is_the_log(tmp_path_factory: object, text: str, cuts: list[int]) -> None:
    """A reader that looks while the file grows by any bytes ends with the same text."""
    log = tmp_path_factory.mktemp("log") / "log.txt"  # type: ignore[attr-defined]
    blob = text.encode()
    seen, offset = "", 0
    for cut in [*sorted(cut for cut in cuts if cut < len(blob)), len(blob)]:
        log.write_bytes(blob[:cut])
        part = tail.read_log(log, offset, ended=cut == len(blob))
        seen, offset = seen + part.text, part.offset
    assert seen == text


def test_dirty_log(tmp_path: Path) -> None:
    """NUL, colours, carriage returns and bytes that are no text do not reach the page."""
    log = tmp_path / "log.txt"
    log.write_bytes(b"a\0b\n\x1b[31mred\x1b[0m\r\n 10%\r 20%\r done\nx\xff\xfey\n")
    assert tail.read_log(log, None, ended=True).text == "ab\nred\n done\nx\ufffd\ufffdy\n"


def test_endless_line_is_cut_between_characters(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_bytes(b"\n" + "名".encode() * 200_000)
    text, offset = "", 1
    while True:
        part = tail.read_log(log, offset, ended=False)
        text, offset = text + part.text, part.offset
        if not part.more:
            break
    assert set(text) == {"名"}
    assert len(text) > 150_000


def test_file_begun_anew_resets(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("new\n")
    part = tail.read_log(log, 5_000, ended=False)
    assert part.reset and part.text == "new\n"
    assert tail.read_log(tmp_path / "none", 7, ended=False) == tail.LogPart("", 0, True, False)


def write_points(path: Path, count: int, spikes: dict[int, float]) -> None:
    with open(path, "a") as file:
        for step in range(1, count + 1):
            loss = spikes.get(step, 1.0 + (step % 7) / 100)
            file.write(json.dumps({"current_steps": step, "total_steps": count, "loss": loss}) + "\n")
            if step % 5_000 == 0:
                file.write(json.dumps({"current_steps": step, "eval_loss": 2.0 / step}) + "\n")


def test_100_000_points_come_thinned_and_are_parsed_once(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    spikes = {17: 99.0, 31_234: 55.0, 77_777: -3.0}
    write_points(path, 100_000, spikes)
    part = tail.read_metrics(path, None)
    points = [event for event in part.events if "loss" in event]
    assert len(part.events) <= tail.MAX_POINTS
    assert {event["current_steps"]: event["loss"] for event in points}.items() >= spikes.items()
    assert sum("eval_loss" in event for event in part.events) == 20
    steps = [event["current_steps"] for event in part.events]
    assert steps == sorted(steps) and steps[0] == 1 and steps[-1] == 100_000
    early = sum(step <= 20_000 for step in steps)
    assert 0.15 < early / len(steps) < 0.25, "the beginning is as finely drawn as the end"
    begun = time.perf_counter()
    again = tail.read_metrics(path, None)
    assert time.perf_counter() - begun < 0.1
    assert again.events == part.events
    append_event(path, {"current_steps": 100_001, "loss": 0.5})
    new = tail.read_metrics(path, part.offset)
    assert [event["current_steps"] for event in new.events] == [100_001]
    assert not new.reset
    assert tail.read_metrics(path, None).events[-1]["current_steps"] == 100_001


def test_resume_drops_what_is_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    for step in (1, 2, 3, 4):
        append_event(path, {"current_steps": step, "loss": 1.0})
    append_event(path, {"current_steps": 4, "eval_loss": 1.0})
    append_event(path, {"phase": "loading", "current": 0, "total": 1})
    append_event(path, {"phase": "loading", "current": 1, "total": 1})
    append_event(path, {"resumed_from": 2})
    append_event(path, {"current_steps": 3, "loss": 7.0})
    events = tail.read_metrics(path, None).events
    assert [(event.get("current_steps"), event.get("loss")) for event in events] == [
        (None, None),
        (1, 1.0),
        (2, 1.0),
        (3, 7.0),
    ]
    assert events[0] == {"phase": "loading", "current": 1, "total": 1}


def test_overwritten_metrics_start_over(tmp_path: Path) -> None:
    path = tmp_path / "trainer_log.jsonl"
    for step in range(50):
        append_event(path, {"current_steps": step, "loss": 1.0})
    offset = tail.read_metrics(path, None).offset
    path.unlink()
    append_event(path, {"current_steps": 1, "loss": 2.0})
    part = tail.read_metrics(path, offset)
    assert part.reset
    assert part.events == [{"current_steps": 1, "loss": 2.0}]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=400), st.integers(10, 60))
def test_thin_keeps_the_ends_and_the_extremes(losses: list[float | None], limit: int) -> None:
    points = [{"current_steps": step, "loss": loss} for step, loss in enumerate(losses)]
    kept = tail.thin(points, limit, "loss")
    assert len(kept) <= max(limit, 2)
    assert kept[0] == points[0] and kept[-1] == points[-1]
    heights = [math.inf if loss is None else loss for loss in losses]
    kept_heights = [math.inf if point["loss"] is None else point["loss"] for point in kept]
    assert max(kept_heights) == max(heights)
    assert min(kept_heights) == min(heights)
