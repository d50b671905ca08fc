"""ShareGPT rows: a list of messages with a role and a text, perhaps a system prompt (first message or a
column), tools, media. A call is a message of its own role whose text is the call's JSON, words before it
allowed.

Try: {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.example import ASSISTANT, TOOL, USER, Example, Kind, Message
from engine.data.formats import Reader
from engine.data.formats.cells import kind_name, text_of
from engine.data.formats.tools import read_calls, split_calls, write_calls, write_tools
from engine.data.formats.turns import Roles, Spoken, build_turns_reader, read_thought, refuse_unlearnt
from engine.data.registry.entry import TAGS
from engine.data.registry.spec import DatasetSpec
from engine.data.report import RowError

# Columns of the rows that write_row makes, by role.
WRITTEN: Mapping[str, str] = {
    "messages": "conversations",
    "system": "system",
    "tools": "tools",
    "images": "images",
    "videos": "videos",
    "audios": "audios",
    "chosen": "chosen",
    "rejected": "rejected",
    "kto_tag": "kto_tag",
}


def build_reader(spec: DatasetSpec, want: Kind) -> Reader:
    """What breaks the order of roles is a bad row, never repaired."""
    roles = Roles.of(spec.tags)
    role_key, content_key = spec.tags["role_tag"], spec.tags["content_tag"]
    # A set may use one word for answers and calls; then its text is taken as it is.
    function = spec.tags["function_tag"] if spec.tags["function_tag"] != spec.tags["assistant_tag"] else None

    def read_message(item: Any, column: str, what: str) -> Spoken:
        if not isinstance(item, dict):
            raise RowError(column, f"{what} is {kind_name(item)}, expected an object")
        if role_key not in item or content_key not in item:
            found = ", ".join(f'"{key}"' for key in item) or "nothing"
            hint = '; "formatting": "openai" reads these' if "role" in item and "content" in item else ""
            raise RowError(column, f'{what} has no "{role_key}" and "{content_key}"; it has {found}{hint}')
        word, value = item[role_key], item[content_key]
        role = roles.role_of(word, column, what)
        thought = ""
        if len(item) > 2:
            refuse_unlearnt(item, column, what)
            thought = read_thought(item, role, column, what)
        if word != function:
            return Spoken(word, Message(role, text_of(value, column, what), thought))
        if isinstance(value, dict | list):
            return Spoken(word, Message(role, "", thought, read_calls(value, column, what)))
        content, calls = split_calls(text_of(value, column, what), column, what)
        return Spoken(word, Message(role, content, thought, calls))

    return build_turns_reader(spec, want, roles, read_message)


def write_row(example: Example) -> dict[str, Any]:
    """The row that reads back as this example; only the columns that it needs. Raw text has no such row."""
    assert example.text is None, "raw text is not a conversation"
    spoken = [_write_message(message) for message in example.messages]
    if example.reference:
        spoken.append(_write_message(Message(ASSISTANT, example.reference)))
    row: dict[str, Any] = {WRITTEN["messages"]: spoken}
    if example.system:
        row[WRITTEN["system"]] = example.system
    if example.tools:
        row[WRITTEN["tools"]] = write_tools(example.tools)
    for role, media in (("images", example.images), ("videos", example.videos), ("audios", example.audios)):
        if media:
            row[WRITTEN[role]] = list(media)
    if example.chosen is not None and example.rejected is not None:
        row[WRITTEN["chosen"]] = _write_message(example.chosen)
        row[WRITTEN["rejected"]] = _write_message(example.rejected)
    if example.desirable is not None:
        row[WRITTEN["kto_tag"]] = example.desirable
    return row


def write_entry(row: Mapping[str, Any], file_name: str) -> dict[str, Any]:
    """The dataset_info.json entry of rows such as this one."""
    columns = {role: column for role, column in WRITTEN.items() if column in row}
    ranking = {"ranking": True} if WRITTEN["chosen"] in row else {}
    return {"file_name": file_name, "formatting": "sharegpt", **ranking, "columns": columns}


def _write_message(message: Message) -> dict[str, Any]:
    word = {USER: TAGS["user_tag"], ASSISTANT: TAGS["assistant_tag"], TOOL: TAGS["observation_tag"]}[
        message.role
    ]
    value = message.content
    if message.tool_calls:
        word, value = TAGS["function_tag"], value + write_calls(message.tool_calls)
    thought = {"reasoning_content": message.thought} if message.thought else {}
    return {TAGS["role_tag"]: word, TAGS["content_tag"]: value, **thought}
