"""OpenAI rows: messages with a role and a content (text, or parts of text and media), tool_calls, tool
results that name their call, reasoning kept apart.

Try: {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.data.example import ASSISTANT, SYSTEM, TOOL, Kind, Message
from engine.data.formats import Reader
from engine.data.formats.cells import kind_name, text_of
from engine.data.formats.media import PLACEHOLDERS, address_of
from engine.data.formats.tools import read_calls, split_calls
from engine.data.formats.turns import Roles, Spoken, build_turns_reader, read_thought, refuse_unlearnt
from engine.data.registry.spec import DatasetSpec
from engine.data.report import RowError

TEXT_PARTS = ("text", "input_text", "output_text")
# Type of a part -> the kind of medium.
MEDIA_PARTS: Mapping[str, str] = {
    "image": "images",
    "image_url": "images",
    "input_image": "images",
    "video": "videos",
    "video_url": "videos",
    "audio": "audios",
    "audio_url": "audios",
    "input_audio": "audios",
}


def build_reader(spec: DatasetSpec, want: Kind) -> Reader:
    """Like sharegpt, with calls beside the content. "developer" is another word for the system, "function" an
    older one for a tool.
    """
    roles = Roles.of(spec.tags, {"developer": SYSTEM, "function": TOOL})
    role_key, content_key, function = (spec.tags[tag] for tag in ("role_tag", "content_tag", "function_tag"))

    def read_message(item: Any, column: str, what: str) -> Spoken:
        if not isinstance(item, dict):
            raise RowError(column, f"{what} is {kind_name(item)}, expected an object")
        if role_key not in item:
            found = ", ".join(f'"{key}"' for key in item) or "nothing"
            raise RowError(column, f'{what} has no "{role_key}"; it has {found}')
        word = item[role_key]
        role = roles.role_of(word, column, what)
        refuse_unlearnt(item, column, what)
        calls = item.get("tool_calls") or item.get("function_call")
        if not calls and content_key not in item:
            raise RowError(column, f'{what} has no "{content_key}"')
        thought = read_thought(item, role, column, what)
        content, media = _read_content(item.get(content_key), column, what)
        if calls:
            if role != ASSISTANT:
                raise RowError(
                    column, f'{what} has the role "{word}" and calls; only "{roles.assistant}" calls'
                )
            return Spoken(word, Message(role, content, thought, read_calls(calls, column, what)), media)
        if word == function and word != roles.assistant:
            content, read = split_calls(content, column, what)
            return Spoken(word, Message(role, content, thought, read), media)
        return Spoken(word, Message(role, content, thought), media)

    return build_turns_reader(spec, want, roles, read_message, arrange_results)


def _read_content(value: object, column: str, what: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(text with placeholders, media): parts follow each other without anything between them."""
    if not isinstance(value, list | tuple):
        return text_of(value, column, what), ()
    texts: list[str] = []
    media: list[tuple[str, str]] = []
    for number, part in enumerate(value, 1):
        place = f"{what}, part {number}"
        if isinstance(part, str):
            texts.append(text_of(part, column, place))
            continue
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in TEXT_PARTS:
            texts.append(text_of(part.get("text"), column, place))
        elif isinstance(kind, str) and kind in MEDIA_PARTS:
            name = MEDIA_PARTS[kind]
            texts.append(PLACEHOLDERS[name])
            media.append((name, _address(part, kind, column, place)))
        else:
            shown = f'the type "{kind}"' if isinstance(kind, str) else "no type"
            known = ", ".join((*TEXT_PARTS[:1], *MEDIA_PARTS))
            raise RowError(column, f"{place} has {shown}; known types are {known}")
    return "".join(texts), tuple(media)


def _address(part: Mapping[str, Any], kind: str, column: str, what: str) -> str:
    """Where the medium is; "" where the part says only that one stands here and a column has it."""
    name = kind.removeprefix("input_").removesuffix("_url")
    value = next((part[key] for key in (kind, name, f"{name}_url", "url", "path") if part.get(key)), None)
    if isinstance(value, dict) and value.get("url"):
        value = value["url"]
    elif isinstance(value, dict) and value.get("data"):
        value = f"data:audio/{value.get('format') or 'wav'};base64,{value['data']}"
    return address_of(value, column, what) if value else ""


def arrange_results(
    items: Sequence[Any], messages: Sequence[Message], column: str, first: int
) -> list[Message]:
    """The results of several calls in the order of the calls. Where calls have ids, each has one result;
    where they have none, the order of the data stands.
    """
    arranged: list[Message] = []
    position = 0
    while position < len(messages):
        message = messages[position]
        arranged.append(message)
        ids = _call_ids(items[position], column, f"message {first + position}") if message.tool_calls else []
        position += 1
        start = position
        while ids and position < len(messages) and messages[position].role == TOOL:
            position += 1
        if ids and (position > start or position < len(messages)):
            results = _by_id(items, start, position, ids, column, first)
            arranged.extend(messages[start + offset] for offset in results)
    return arranged


def _call_ids(item: Mapping[str, Any], column: str, what: str) -> list[str]:
    """The ids of a message's calls; none when no call has one."""
    calls = item.get("tool_calls") or []
    ids = [call.get("id") for call in calls if isinstance(call, dict)]
    if not any(ids):
        return []
    if not all(isinstance(name, str) and name for name in ids):
        raise RowError(column, f"{what} has calls with and without an id")
    if len(set(ids)) != len(ids):
        raise RowError(column, f"{what} has two calls with the same id")
    return [str(name) for name in ids]


def _by_id(
    items: Sequence[Any], start: int, end: int, ids: Sequence[str], column: str, first: int
) -> list[int]:
    """Offsets of the results items[start:end] in the order of ids; as they are where none names its call."""
    named = [items[position].get("tool_call_id") for position in range(start, end)]
    if end > start and not any(named):
        return list(range(end - start))
    places: dict[str, int] = {}
    for offset, name in enumerate(named):
        what = f"message {first + start + offset}"
        if not isinstance(name, str) or name not in ids:
            shown = f'"{name}"' if isinstance(name, str) else kind_name(name)
            raise RowError(
                column, f"{what}: tool_call_id is {shown}, but the calls before it are {', '.join(ids)}"
            )
        if name in places:
            raise RowError(column, f'{what} is a second result of the call "{name}"')
        places[name] = offset
    if missing := [name for name in ids if name not in places]:
        raise RowError(column, f'message {first + start - 1}: the call "{missing[0]}" has no result')
    return [places[name] for name in ids]
