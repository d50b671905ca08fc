"""ShareGPT rows: a list of messages with a role and a text, perhaps a system prompt (first message or a
column).

Try: {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.data.example import ASSISTANT, USER, Example, Message
from engine.data.formats import Reader, text_of
from engine.data.registry import DatasetSpec
from engine.data.report import RowError


def build_reader(spec: DatasetSpec) -> Reader:
    """Roles alternate user, assistant and end with the assistant; what breaks that rule is a bad row, never
    repaired.
    """
    column, system_column = spec.columns["messages"], spec.columns.get("system", "")
    role_key, content_key = spec.tags["role_tag"], spec.tags["content_tag"]
    user, assistant, system_tag = spec.tags["user_tag"], spec.tags["assistant_tag"], spec.tags["system_tag"]
    tool_roles = (spec.tags["observation_tag"], spec.tags["function_tag"])
    expected = ((user, USER), (assistant, ASSISTANT))

    def read(row: Mapping[str, Any]) -> Example:
        raw = row.get(column)
        if not isinstance(raw, list) or not raw:
            raise RowError(column, "is empty" if raw in (None, "", []) else "is not a list of messages")
        system = text_of(row.get(system_column), system_column) if system_column else ""
        messages: list[Message] = []
        for number, item in enumerate(raw, 1):
            if not isinstance(item, dict) or role_key not in item or content_key not in item:
                raise RowError(column, f'message {number} has no "{role_key}" and "{content_key}"')
            role, content = item[role_key], text_of(item[content_key], column)
            if number == 1 and role == system_tag:
                system = content
                continue
            tag, name = expected[len(messages) % 2]
            if role != tag:
                raise RowError(column, _wrong_role(number, role, tag))
            messages.append(Message(name, content))
        if not messages or messages[-1].role != ASSISTANT:
            raise RowError(column, f'does not end with an answer from "{assistant}"')
        if not any(message.content for message in messages if message.role == ASSISTANT):
            raise RowError(column, "every answer is empty: there would be nothing to learn")
        return Example(tuple(messages), system)

    def _wrong_role(number: int, role: object, tag: str) -> str:
        if role in tool_roles:
            return f'message {number} has the role "{role}": tool turns are not supported yet'
        known = (user, assistant, system_tag)
        hint = "" if role in known else f"; known roles are {', '.join(known)} (tags in dataset_info.json)"
        return f'message {number} has the role "{role}" where "{tag}" is expected{hint}'

    return read
