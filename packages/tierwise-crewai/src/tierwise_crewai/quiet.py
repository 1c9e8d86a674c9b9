"""CrewAI's LLMs without their voice: a copy that answers, and tells only the one who asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crewai import BaseLLM

__all__ = ["Heard", "Quiet", "Shown", "token_usage"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A piece of an answer, as an LLM would have shown it to those who follow its stream."""

    text: str = ""
    thinking: str = ""
    call: bool = False
    """It is a piece of a tool call."""
    event: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the LLM says of it."""


class Heard:
    """What an LLM says of one call, to the one who asked.

    It knows nothing of the LLM, which refers to it: so both are gone when the call is done, and leave the garbage
    collector no work.

    Args:
        show: Is given each piece of a streamed answer.

    Attributes:
        finish_reason: Why the model stopped, where the LLM has said so.
        response_id: The provider's id of the answer, where the LLM has said it.
    """

    __slots__ = ("_show", "finish_reason", "response_id")

    def __init__(self, show: Callable[[Shown], None] | None) -> None:
        self.finish_reason: str | None = None
        self.response_id: str | None = None
        self._show = show

    def completed(
        self, *args: Any, finish_reason: str | None = None, response_id: str | None = None, **kwargs: Any
    ) -> None:
        """The call is complete."""
        self.finish_reason, self.response_id = finish_reason, response_id

    def chunk(self, chunk: str, *args: Any, **event: Any) -> None:
        """A piece of an answer, or of a tool call."""
        if self._show is not None:
            call = event.get("tool_call") is not None
            self._show(Shown("" if call else chunk, call=call, event={"chunk": chunk, **event}))

    def thinking(self, chunk: str, *args: Any, **event: Any) -> None:
        """A piece of what the model thinks."""
        if self._show is not None:
            self._show(Shown(thinking=chunk, event={"chunk": chunk, **event}))


class Quiet:
    """A copy of an LLM for one call, with settings and counters of its own, that emits none of its events.

    Drafts and judges are nobody's business but the router's: their events would show rejected answers to those who
    follow a stream, and be counted in the usage of flows. One that goes through LiteLLM tells of failures all the same.

    Args:
        llm: The LLM; it is left as it is.
        update: Settings of the copy.
        show: Is given each piece of a streamed answer.

    Attributes:
        llm: The copy.
        counted: Its token counters.
        heard: What it says of the call.
    """

    __slots__ = ("counted", "heard", "llm")

    def __init__(self, llm: BaseLLM, update: Mapping[str, Any], show: Callable[[Shown], None] | None) -> None:
        self.llm = llm.model_copy(update=update)
        self.heard = heard = Heard(show)
        self.counted = dict.fromkeys(token_usage(llm), 0)
        private: dict[str, Any] = self.llm.__pydantic_private__ or {}
        private["_token_usage"] = self.counted
        # On this copy alone; pydantic would take the names for private attributes.
        vars(self.llm).update(
            _emit_call_started_event=_nothing,
            _emit_call_failed_event=_nothing,
            _emit_call_denied_event=_nothing,
            _emit_call_completed_event=heard.completed,
            _handle_emit_call_events=heard.completed,
            _emit_stream_chunk_event=heard.chunk,
            _emit_thinking_chunk_event=heard.thinking,
        )


def token_usage(llm: BaseLLM) -> dict[str, int]:
    """Its token counters, from where pydantic keeps them: by an attribute's name it takes microseconds to find them."""
    private: dict[str, Any] = llm.__pydantic_private__ or {}
    return private["_token_usage"]


def _nothing(*args: Any, **kwargs: Any) -> None:
    pass
