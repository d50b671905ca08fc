"""One tool, conversations that use it, and values that calls may carry. Shared by the tests of templates."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "city name"},
                "days": {"type": "integer", "description": "days"},
            },
            "required": ["city"],
        },
    },
}
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "now", "parameters": {}}}

LETTERS = st.characters(codec="utf-8", categories=("L", "N"))
NAMES = st.text(LETTERS | st.sampled_from("_-."), min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30) | st.sampled_from(
    [
        "",
        "北京",
        'say "hi"',
        "it's\n\\n",
        "2",
        "true",
        "null",
        "[1]",
        '{"a": 1}',
        " padded ",
        "a, b) c]",
        "\t",
    ]
)
SCALARS = TEXTS | st.integers(-(10**12), 10**12) | st.booleans() | st.none() | st.floats(-1e6, 1e6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)
CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=3)


def tool_call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def declare(calls: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Tools whose schemas name the strings among these calls' arguments, and nothing else."""
    properties: dict[str, dict[str, Any]] = {}
    for name, arguments in calls:
        for key, value in arguments.items():
            properties.setdefault(name, {})[key] = {"type": "string"} if isinstance(value, str) else {}
    return [
        {"type": "function", "function": {"name": name, "parameters": {"properties": declared}}}
        for name, declared in properties.items()
    ]


# user, two calls, their results, a call with words and a thought, its result, the answer, a second question.
AGENT: list[dict[str, Any]] = [
    {"role": "user", "content": "U1"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [tool_call("get_weather", {"city": "北京", "days": 2}), tool_call("now", {})],
    },
    {"role": "tool", "content": '{"t": 20}'},
    {"role": "tool", "content": "12:00"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "reasoning_content": "Once more?",
        "tool_calls": [tool_call("get_weather", {"city": 'a "b"\nc', "days": None})],
    },
    {"role": "tool", "content": "[]"},
    {"role": "assistant", "content": "A1", "reasoning_content": "\nDone.\n"},
    {"role": "user", "content": "U2"},
    {"role": "assistant", "content": "A2"},
]
