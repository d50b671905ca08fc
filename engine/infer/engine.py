"""What an inference backend is: load a model, stream an answer, stop. Knows no torch and no HTTP.

The server and the terminal chat speak to this seam only, so another backend (a vLLM process spoken to over
HTTP, say) is one more file that fills it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypedDict

from engine.errors import UserError


class Message(TypedDict):
    """One turn of a conversation; role is system, user, assistant or tool."""

    role: str
    content: str


class PromptTooLong(UserError):
    """The conversation does not fit the model's context."""


@dataclass(frozen=True)
class Sampling:
    """How to pick the next token. `temperature` 0 means greedy, whatever `do_sample` says."""

    do_sample: bool = True
    temperature: float = 0.95
    top_p: float = 0.7
    top_k: int = 50
    max_new_tokens: int = 1024
    repetition_penalty: float = 1.0
    num_beams: int = 1
    length_penalty: float = 1.0
    skip_special_tokens: bool = True
    seed: int | None = None
    stop: tuple[str, ...] = ()

    @classmethod
    def from_args(cls, generation: Any) -> Sampling:
        """The generation group of the arguments (engine.schema), field for field."""
        return cls(
            do_sample=generation.do_sample,
            temperature=generation.temperature,
            top_p=generation.top_p,
            top_k=generation.top_k,
            max_new_tokens=generation.max_new_tokens,
            repetition_penalty=generation.repetition_penalty,
            num_beams=generation.num_beams,
            length_penalty=generation.length_penalty,
            skip_special_tokens=generation.skip_special_tokens,
        )

    def with_changes(self, **changes: Any) -> Sampling:
        """A copy with these fields changed."""
        return replace(self, **changes)

    @property
    def greedy(self) -> bool:
        return not self.do_sample or self.temperature == 0


class Generation(Protocol):
    """One answer being written. Iterate it for text; the facts below are final once the iteration ended."""

    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    """stop (the model ended its turn), length (max_new_tokens or the context ran out), cancelled."""

    def __iter__(self) -> Iterator[str]: ...

    def cancel(self) -> None:
        """Ask it to end after the token in hand; safe from any thread, any number of times."""

    def close(self) -> None:
        """Cancel, and return once nothing of it runs any more."""


class Engine(Protocol):
    """A model that answers conversations, one at a time."""

    def load(self) -> None:
        """Bring the model into memory. Raises UserError when the arguments do not name a usable one."""

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Generation:
        """Start answering. Raises PromptTooLong, or UserError when the chat template refuses the messages."""

    def stop(self) -> None:
        """End the answer being written, if there is one."""
