"""Message and Example: the one shape every dataset format is turned into. Knows nothing of files, templates
or tokens.

Try: python -c "from engine.data.example import *; print(Message('user', 'Hi'))"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.templates.base import Conversation

USER = "user"
ASSISTANT = "assistant"
TOOL = "tool"
SYSTEM = "system"

Kind = Literal["chat", "pair", "label", "prompt", "text"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the assistant calls: its name and its arguments as an object."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"type": "function", "function": {"name": self.name, "arguments": dict(self.arguments)}}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `role` is user, assistant or tool (a tool's result); the system prompt is a
    field of Example. thought: reasoning that the data keeps apart from the answer.
    """

    role: str
    content: str
    thought: str = ""
    tool_calls: tuple[ToolCall, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The role/content object that chat templates take."""
        message: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.thought:
            message["reasoning_content"] = self.thought
        if self.tool_calls:
            message["tool_calls"] = [call.to_json() for call in self.tool_calls]
        return message


@dataclass(frozen=True, slots=True)
class Example:
    """One row, whatever format it came in. Which fields are set depends on `kind`:

    chat: `messages` end with the assistant's; a user or a tool speaks before each answer. label: a chat with
    `desirable` (KTO). pair: `messages` end with the user or a tool, `chosen` and `rejected` are two answers.
    prompt: as pair, without answers; `reference` may hold the expected one. text: `text` alone, to be learnt
    whole. tools: {"type": "function", "function": {...}} objects. Media are paths or addresses, in the order
    of their placeholders.
    """

    messages: tuple[Message, ...] = ()
    system: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    images: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    audios: tuple[str, ...] = ()
    chosen: Message | None = None
    rejected: Message | None = None
    desirable: bool | None = None
    reference: str = ""
    text: str | None = None

    @property
    def kind(self) -> Kind:
        if self.text is not None:
            return "text"
        if self.chosen is not None:
            return "pair"
        if self.desirable is not None:
            return "label"
        return "chat" if self.messages[-1].role == ASSISTANT else "prompt"

    def to_conversation(self, default_system: str = "", *, answer: Message | None = None) -> Conversation:
        """What a chat template takes. No system prompt, no such message. `answer` ends a pair's prompt."""
        system = self.system or default_system
        messages = [{"role": SYSTEM, "content": system}] if system else []
        spoken = self.messages if answer is None else (*self.messages, answer)
        messages.extend(message.to_json() for message in spoken)
        return Conversation(tuple(messages), tuple(dict(tool) for tool in self.tools))
