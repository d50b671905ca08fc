"""The metric log is read the same wherever the stream is cut, and a torn line costs one line."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import append_event, read_events

EVENT = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8), max_size=3)


@settings(max_examples=50, deadline=None)
@given(events=st.lists(EVENT, max_size=8), cuts=st.lists(st.integers(1, 40), max_size=6))
def test_pieces_give_the_same_events(tmp_path_factory, events: list[dict], cuts: list[int]) -> None:
    folder = tmp_path_factory.mktemp("events")
    whole, growing = folder / "whole.jsonl", folder / "growing.jsonl"
    for event in events:
        append_event(whole, event)
    blob = whole.read_bytes() if events else b""
    seen, offset, at = [], 0, 0
    for step in [*cuts, len(blob)]:
        at = min(at + step, len(blob))
        growing.write_bytes(blob[:at])
        new, offset = read_events(growing, offset)
        seen += new
    assert seen == events and offset == len(blob)


def test_a_torn_line_is_left_and_then_closed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    append_event(path, {"loss": 1.0})
    with open(path, "ab") as file:
        file.write(b'{"loss": 0.')
    assert read_events(path)[0] == [{"loss": 1.0}]
    append_event(path, {"loss": 0.25})
    assert read_events(path)[0] == [{"loss": 1.0}, {"loss": 0.25}]


def test_a_diverged_loss_is_null_and_still_json(tmp_path: Path) -> None:
    append_event(tmp_path / "a", {"loss": float("nan"), "more": [float("inf"), 1.5]})
    assert read_events(tmp_path / "a")[0] == [{"loss": None, "more": [None, 1.5]}]


def test_a_file_that_is_not_there_has_no_events(tmp_path: Path) -> None:
    assert read_events(tmp_path / "none", 7) == ([], 7)
