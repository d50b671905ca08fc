"""Which tokens of a row that is too long stay: turn by turn, prompt and answer sharing what room there is.
Counts only; knows no tokenizer.

Try: python -c "from engine.data.tokens.cut import share; print(share(3000, 2000, 1000))"
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.templates.base import Turn


def truncate(turns: Sequence[Turn], cutoff_len: int, *, from_end: bool = False) -> list[range]:
    """Which token positions of the turns stay. Turns are served in order (from the last with `from_end`)
    while there is room.

    A turn that does not fit shares its room between prompt and answer (see `share`); the prompt loses the end
    of the user's words, never the header that calls for the answer. A later turn whose answer would vanish is
    left out whole.
    """
    left = cutoff_len
    kept: list[list[range]] = []
    for turn in reversed(turns) if from_end else turns:
        prompt_len, answer_len = turn.answer - turn.start, turn.end - turn.answer
        prompt_room, answer_room = share(prompt_len, answer_len, left)
        if kept and (answer_room == 0 or prompt_room < min(prompt_len, turn.answer - turn.header)):
            break
        header_start = max(turn.header, turn.answer - prompt_room)
        words = prompt_room - (turn.answer - header_start)
        windows = [
            range(turn.start, turn.start + words),
            range(header_start, turn.answer),
            range(turn.answer, turn.answer + answer_room),
        ]
        kept.append(windows)
        left -= prompt_room + answer_room
        if left <= 0:
            break
    return [window for windows in (reversed(kept) if from_end else kept) for window in windows]


def share(prompt_len: int, answer_len: int, room: int) -> tuple[int, int]:
    """Tokens of prompt and answer that fit into `room`: the part below half the room stays whole, else both
    shrink alike.
    """
    if prompt_len + answer_len <= room:
        return prompt_len, answer_len
    if answer_len * 2 < room:
        kept = answer_len
    elif prompt_len * 2 < room:
        kept = room - prompt_len
    else:
        kept = room * answer_len // (prompt_len + answer_len)
    kept = min(kept, answer_len)
    return min(prompt_len, room - kept), kept
