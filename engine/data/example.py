"""Message and Example: the one shape every dataset format is turned into. Knows nothing of files, templates
or tokens.

Try: python -c "from engine.data.example import *; print(Message('user', 'Hi'))"
"""

from __future__ import annotations

from dataclasses import dataclass

USER = "user"
ASSISTANT = "assistant"
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `role` is user or assistant; the system prompt is a field of Example."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation to learn from: user and assistant alternate, the last message is the assistant's."""

    messages: tuple[Message, ...]
    system: str = ""

    def to_chat(self, default_system: str = "") -> list[dict[str, str]]:
        """The list of role/content dicts that chat templates take. An empty system prompt adds no message."""
        system = self.system or default_system
        chat = [{"role": SYSTEM, "content": system}] if system else []
        chat.extend({"role": message.role, "content": message.content} for message in self.messages)
        return chat
