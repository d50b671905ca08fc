"""The order of roles in a conversation, and what an Example of each kind is made of. Shared by the formats
that hold lists of messages; knows nothing of how a message is spelt.

The rule is LLaMA-Factory's: a user (or a tool's result) speaks, the assistant answers or calls, and so on.
Several results in a row answer several calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.data.example import ASSISTANT, SYSTEM, TOOL, USER, Example, Kind, Message
from engine.data.formats.cells import cell, kind_name, list_of, text_of
from engine.data.formats.kto import read_label
from engine.data.formats.media import PLACEHOLDERS, Media, build_media_reader, check_placeholders
from engine.data.formats.prompt import reference_of
from engine.data.formats.ranking import check_pair
from engine.data.formats.tools import read_tools
from engine.data.registry.spec import DatasetSpec
from engine.data.report import RowError

# Which role may follow which; "" is the beginning.
LEGAL = frozenset(
    {
        ("", USER), ("", TOOL),
        (USER, ASSISTANT), (TOOL, ASSISTANT), (TOOL, TOOL),
        (ASSISTANT, USER), (ASSISTANT, TOOL),
    }
)  # fmt: skip
# What other sets call the roles, for a hint.
USUAL_TAGS: Mapping[str, str] = {
    "user": "user_tag",
    "human": "user_tag",
    "assistant": "assistant_tag",
    "gpt": "assistant_tag",
    "model": "assistant_tag",
    "bot": "assistant_tag",
    "tool": "observation_tag",
    "observation": "observation_tag",
    "function_call": "function_tag",
    "system": "system_tag",
}
THOUGHT_KEYS = ("reasoning_content", "thinking", "reasoning")


@dataclass(frozen=True)
class Roles:
    """The words by which the data calls the roles: word -> role, and the words to name in an error."""

    by_word: Mapping[str, str]
    user: str
    assistant: str
    observation: str

    @classmethod
    def of(cls, tags: Mapping[str, str], more: Mapping[str, str] | None = None) -> Roles:
        """From the tags of dataset_info.json; a role without a word ("") does not occur. A word that is given
        to two roles has the first one's.
        """
        words: dict[str, str] = {}
        for tag, role in (
            ("user_tag", USER),
            ("assistant_tag", ASSISTANT),
            ("observation_tag", TOOL),
            ("function_tag", ASSISTANT),
            ("system_tag", SYSTEM),
        ):
            if tags[tag]:
                words.setdefault(tags[tag], role)
        for word, role in (more or {}).items():
            words.setdefault(word, role)
        return cls(words, tags["user_tag"], tags["assistant_tag"], tags["observation_tag"])

    def role_of(self, word: object, column: str, what: str) -> str:
        """Raises RowError naming the known words."""
        role = self.by_word.get(word) if isinstance(word, str) else None
        if role is None:
            known = ", ".join(self.by_word)
            shown = f'"{word}"' if isinstance(word, str) else kind_name(word)
            tag = USUAL_TAGS.get(word) if isinstance(word, str) else None
            hint = f', such as {{"{tag}": "{word}"}}' if tag else ""
            raise RowError(
                column,
                f"{what} has the role {shown}; known roles are {known}. Set tags in dataset_info.json{hint}",
            )
        return role

    def wrong_place(self, word: str, before: str, column: str, what: str) -> RowError:
        """`before`: the role of the message before, "" for the first."""
        expected = {"": [self.user], ASSISTANT: [self.user, self.observation]}.get(before, [self.assistant])
        names = " or ".join(f'"{name}"' for name in expected if name)
        return RowError(column, f'{what} has the role "{word}" where {names} is expected')


class Spoken(NamedTuple):
    """One item of the list: the word of its role, the message (role SYSTEM for a system prompt), and the
    media that it carries itself as (kind, address); an address is "" where only the placeholder stands.
    """

    word: str
    message: Message
    media: tuple[tuple[str, str], ...] = ()


MessageReader = Callable[[Any, str, str], Spoken]
"""(item, column, what the item is called in an error) -> Spoken."""
Arranger = Callable[[Sequence[Any], list[Message], str, int], list[Message]]
"""(items, their messages, column, number of the first) -> the messages, tool results in the order of their
calls.
"""


def build_turns_reader(
    spec: DatasetSpec, want: Kind, roles: Roles, read_message: MessageReader, arrange: Arranger | None = None
) -> Callable[[Mapping[str, Any]], Example]:
    """A reader of rows with a list of messages."""
    columns = spec.columns
    column, system, tools = columns["messages"], columns.get("system", ""), columns.get("tools", "")
    pair = (columns.get("chosen", ""), columns.get("rejected", ""))
    label, read_row_media = columns.get("kto_tag", ""), build_media_reader(spec)

    def read(row: Mapping[str, Any]) -> Example:
        items = list_of(row.get(column), column, "a list of messages")
        if not items:
            raise RowError(column, "is empty")
        first, spoken = _read_messages(items, column, roles, read_message)
        messages = [each.message for each in spoken]
        if arrange:
            messages = arrange(
                items[len(items) - len(spoken) :], messages, column, len(items) - len(spoken) + 1
            )
        facts: dict[str, Any] = {"system": _one_system(cell(row, system), system, first, column)}
        if tools:
            facts["tools"] = read_tools(row.get(tools), tools)
        answers: tuple[Message, ...] = ()
        if want == "pair":
            answers = tuple(_read_answer(row.get(name), name, roles, read_message) for name in pair)
            check_pair(*answers, columns=pair)
            facts.update(chosen=answers[0], rejected=answers[1])
        elif want == "label":
            facts["desirable"] = read_label(row.get(label), label)
        media = _join_media(read_row_media(row), spoken, columns)
        if media:
            check_placeholders(media, {**dict.fromkeys(PLACEHOLDERS, column), **columns}, messages, answers)
        messages, facts["reference"] = _finish(messages, want, column, roles)
        return Example(tuple(messages), **facts | media)

    return read


def _read_messages(
    items: Sequence[Any], column: str, roles: Roles, read_message: MessageReader
) -> tuple[str, list[Spoken]]:
    """(the system prompt that stands first, the other messages in a legal order)."""
    system = before = ""
    spoken: list[Spoken] = []
    for number, item in enumerate(items, 1):
        what = f"message {number}"
        word, message, media = read_message(item, column, what)
        if message.role == SYSTEM and number == 1:
            system = message.content
            continue
        if (before, message.role) not in LEGAL:
            raise roles.wrong_place(word, before, column, what)
        if not message.content and not message.tool_calls and message.role != TOOL:
            nothing = ": there would be nothing to learn" if message.role == ASSISTANT else ""
            raise RowError(column, f'{what} ("{word}") is empty{nothing}')
        spoken.append(Spoken(word, message, media))
        before = message.role
    return system, spoken


def _one_system(cell_text: str, cell_column: str, first: str, column: str) -> str:
    """The system prompt stands in a column or is the first message. Both may say the same."""
    if first and cell_text and first != cell_text:
        raise RowError(cell_column, f'differs from the system message in "{column}"; keep one system prompt')
    return first or cell_text


def _join_media(media: Media, spoken: Sequence[Spoken], columns: Mapping[str, str]) -> Media:
    """A column's media, or those that the messages carry; never both of one kind."""
    carried = [item for each in spoken for item in each.media]
    for kind in dict.fromkeys(kind for kind, _ in carried):
        own = tuple(address for name, address in carried if name == kind and address)
        if own and media.get(kind):
            raise RowError(columns[kind], f"holds {kind}, and so do the messages; keep them in one place")
        media[kind] = own or media.get(kind, ())
    return media


def _finish(messages: list[Message], want: Kind, column: str, roles: Roles) -> tuple[list[Message], str]:
    """(messages, reference): cut and checked as the kind asks."""
    answered = bool(messages) and messages[-1].role == ASSISTANT
    if want == "prompt":
        if not messages:
            raise RowError(column, f'holds no message from "{roles.user}"')
        return (messages[:-1], reference_of(messages[-1])) if answered else (messages, "")
    if want == "pair":
        if answered or not messages:
            raise RowError(
                column, f'has to end with "{roles.user}": the two answers stand in columns of their own'
            )
    elif not answered:
        raise RowError(column, f'does not end with an answer from "{roles.assistant}"')
    return messages, ""


def _read_answer(value: object, column: str, roles: Roles, read_message: MessageReader) -> Message:
    """One answer of a pair: a message, a list with that one message, or its text alone."""
    if isinstance(value, list | tuple) and value:
        if len(value) != 1:
            raise RowError(column, f"is a list of {len(value)} messages, expected the one answer")
        value = value[0]
    if not value:
        raise RowError(column, "is empty: there would be nothing to compare")
    if isinstance(value, str):
        return Message(ASSISTANT, text_of(value, column))
    word, message, media = read_message(value, column, "the answer")
    if message.role != ASSISTANT:
        raise RowError(column, f'has the role "{word}" where "{roles.assistant}" is expected')
    if media:
        raise RowError(column, "holds media; an answer is text")
    return message


def read_thought(item: Mapping[str, Any], role: str, column: str, what: str) -> str:
    """What the data keeps apart as reasoning, under any of its usual names."""
    for key in THOUGHT_KEYS:
        if thought := text_of(item.get(key), column, f"{what}: {key}"):
            if role != ASSISTANT:
                raise RowError(column, f"{what} has {key}, which only an answer has")
            return thought
    return ""


def refuse_unlearnt(item: Mapping[str, Any], column: str, what: str) -> None:
    """A message may carry a weight; 0 asks not to learn it, which we would have to ignore."""
    if item.get("weight") not in (None, 1, 1.0):
        raise RowError(
            column, f"{what} has the weight {item['weight']!r}: weights of single messages are not supported"
        )
