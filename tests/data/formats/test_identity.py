"""Properties: alpaca -> Example -> sharegpt -> Example is the identity; any cell is read or refused."""

# ruff: noqa: E501 - messages stand as a person sees them
from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.example import ASSISTANT, TOOL, Example, Kind, Message, ToolCall
from engine.data.formats import load_reader
from engine.data.formats.sharegpt import write_entry, write_row
from engine.data.registry.entry import read_entry
from engine.data.report import RowError
from tests.conftest import REPO
from tests.data.formats import (
    bot,
    read,
    spec_of,
    user,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
CALLS = st.builds(ToolCall, TEXT, st.dictionaries(TEXT, JSON_VALUES, max_size=3))
# White space alone before a call is not kept; words are, JSON among them.
WORDS = (
    st.just("") | TEXT.filter(lambda text: not text.isspace()) | st.just('{"name": "x", "arguments": {}} [{')
)
TOOLS = st.lists(st.fixed_dictionaries({"name": TEXT, "description": TEXT}), max_size=2).map(
    lambda tools: tuple({"type": "function", "function": tool} for tool in tools)
)
ANSWERS = st.builds(Message, st.just(ASSISTANT), TEXT, st.just("") | TEXT)


def same_through_sharegpt(example: Example, want: Kind) -> Example:
    row = json.loads(json.dumps(write_row(example)))
    spec = read_entry("d", write_entry(row, str(REPO / "data/identity.json")))
    return load_reader(spec, want)(row)


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "instruction": TEXT,
            "input": st.just("") | TEXT,
            "output": TEXT,
            "history": st.lists(st.tuples(TEXT, TEXT).map(list), max_size=3),
            "system": st.just("") | TEXT,
            "tools": TOOLS.map(json.dumps),
            "chosen": TEXT,
            "rejected": TEXT,
            "kto_tag": st.booleans(),
        }
    ),
    st.sampled_from(["chat", "pair", "label", "prompt"]),
)
def test_alpaca_to_sharegpt_and_back_is_the_identity(row: dict[str, Any], want: Kind) -> None:
    roles = ["history", "system", "tools", *(["kto_tag"] if want == "label" else [])]
    spec = spec_of("alpaca", columns={role: role for role in roles}, ranking=want == "pair")
    if want == "pair" and row["chosen"] == row["rejected"]:
        row["rejected"] += "!"
    example = load_reader(spec, want)(row)
    assert same_through_sharegpt(example, want) == example


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_conversations_with_calls_survive_sharegpt(data: st.DataObject) -> None:
    messages = [user(data.draw(TEXT))]
    for _ in range(data.draw(st.integers(0, 3))):
        calls = data.draw(st.lists(CALLS, min_size=1, max_size=3))
        messages.append(bot(data.draw(WORDS), *calls, thought=data.draw(st.just("") | TEXT)))
        messages += [Message(TOOL, data.draw(st.just("") | TEXT)) for _ in calls]
    messages.append(data.draw(ANSWERS))
    example = Example(tuple(messages), data.draw(st.just("") | TEXT), tools=data.draw(TOOLS))
    assert same_through_sharegpt(example, "chat") == example


def test_media_survive_sharegpt() -> None:
    example = Example((user("<image><video><audio>"), bot("b")), images=("a",), videos=("b",), audios=("c",))
    assert same_through_sharegpt(example, "chat") == example


CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4)
    | st.dates()
    | st.sampled_from(["human", "gpt", "function_call", "user", "assistant", "tool", "[", '{"name": "f", "arguments": {}}']),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["from", "value", "role", "content", "type", "text", "image", "image_url", "url", "name", "arguments",
             "function", "tool_calls", "tool_call_id", "id", "thinking", "weight", "path", "bytes", "x"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"from": st.sampled_from(["human", "gpt", "observation", "function_call"]), "value": CELLS},
        optional={"thinking": CELLS, "weight": CELLS},
    ).map(
        lambda message: {
            **message,
            "role": message["from"],
            "content": message["value"],
            "tool_calls": message.get("x"),
        }
    ),
    max_size=4,
)
TAGS = {"user_tag": "human", "assistant_tag": "gpt", "observation_tag": "observation"}
COLUMNS = {name: name for name in ("system", "tools", "images", "videos", "audios")}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            ("alpaca", {"columns": {**COLUMNS, "history": "history"}}, "chat"),
            ("alpaca", {"columns": {**COLUMNS, "kto_tag": "label"}}, "label"),
            ("alpaca", {"ranking": True}, "pair"),
            ("sharegpt", {"columns": COLUMNS}, "chat"),
            ("sharegpt", {"ranking": True}, "pair"),
            ("openai", {"columns": {**COLUMNS, "messages": "conversations"}, "tags": TAGS}, "prompt"),
            ("text", {}, "text"),
        ]
    ),
    st.fixed_dictionaries(
        dict.fromkeys(
            ("instruction", "input", "output", "history", "system", "tools", "images", "label", "chosen", "rejected", "text"),
            CELLS,
        )
        | {"conversations": MESSAGES | CELLS}
    ),
)  # fmt: skip
def test_any_cell_is_read_or_refused(how: tuple[str, dict[str, Any], Kind], row: dict[str, Any]) -> None:
    """Nothing but RowError is ever raised, and what is read can be encoded and written as JSON."""
    formatting, entry, want = how
    try:
        example = read(row, formatting, want, **entry)
    except RowError as error:
        assert error.reason
        return
    assert example.kind == want
    texts = [example.system, example.text or "", example.reference, *example.images]
    texts += [text for message in example.messages for text in (message.content, message.thought)]
    for text in texts:
        text.encode()
    json.dumps([dict(tool) for tool in example.tools], allow_nan=False)
