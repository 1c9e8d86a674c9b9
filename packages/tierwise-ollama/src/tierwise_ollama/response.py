"""What comes back of a call, as chunks and as an outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from tierwise.errors import BadResponseError
from tierwise.fleet.price import Usage
from tierwise.flow import Attempt, Chunk, Outcome
from tierwise.ids import new_id
from tierwise.task import ToolCall

from tierwise_ollama.thoughts import Thoughts

__all__ = ["Reader", "collected"]

_NO_ANSWER = ("load", "unload")


class Reader:
    """Reads the lines of one streamed answer.

    Args:
        model: The model's name, for messages.
    """

    def __init__(self, model: str) -> None:
        self.done = False
        self._model = model
        self._thoughts = Thoughts()

    def read(self, line: dict[str, Any]) -> Chunk:
        """One line as a chunk.

        Raises:
            BadResponseError: The line is no part of an answer.
        """
        message = line.get("message")
        if not isinstance(message, dict):
            raise BadResponseError(f"Ollama sent a line without a message for {self._model!r}")
        said = cast("dict[str, Any]", message)
        text, thought = self._thoughts.feed(said.get("content") or "")
        self.done = bool(line.get("done"))
        if self.done:
            rest, last_thought = self._thoughts.end()
            text, thought = text + rest, thought + last_thought
        reason = line.get("done_reason") if self.done else None
        if reason in _NO_ANSWER:
            raise BadResponseError(f"Ollama answered for {self._model!r} that it did no more than to {reason} it")
        return Chunk(
            text=text,
            thinking=(said.get("thinking") or "") + thought,
            tool_calls=tuple(_tool_call(call) for call in said.get("tool_calls") or ()),
            logprobs=tuple(float(token["logprob"]) for token in line.get("logprobs") or ()),
            usage=_usage(line) if self.done else None,
            finish_reason=reason,
            model=line.get("model"),
            raw=line,
        )


def collected(attempt: Attempt, chunks: Iterable[Chunk]) -> Outcome:
    """A whole answer from its chunks."""
    parts = list(chunks)
    last = parts[-1]
    return Outcome(
        attempt,
        text="".join(c.text for c in parts),
        thinking="".join(c.thinking for c in parts),
        tool_calls=tuple(call for c in parts for call in c.tool_calls),
        logprobs=tuple(p for c in parts for p in c.logprobs) or None,
        usage=last.usage,
        model=last.model,
        finish_reason=last.finish_reason,
        raw=last.raw,
    )


def _tool_call(value: Any) -> ToolCall:
    function = cast("dict[str, Any]", value.get("function") or {})
    return ToolCall.parse(
        str(function.get("name") or ""), function.get("arguments"), id=str(value.get("id") or f"call_{new_id()}")
    )


def _usage(line: dict[str, Any]) -> Usage | None:
    """Zero counts are left out by the server, so what is not there is not known."""
    counts = [line.get(key) for key in ("prompt_eval_count", "eval_count")]
    return None if counts == [None, None] else Usage(*counts)
