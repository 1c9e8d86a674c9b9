"""What comes back of a call, as chunks and as an outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.errors import BadResponseError
from tierwise.fleet.price import Usage
from tierwise.ids import new_id
from tierwise.messages import ToolCall

from tierwise_ollama.thoughts import Thoughts

__all__ = ["Reader", "collected"]

_NO_ANSWER = ("load", "unload")
_COUNTS = ("prompt_eval_count", "eval_count")


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
        said = self._part(line, "message", dict, None)
        text, thought = self._thoughts.feed(self._part(said, "content", str, ""))
        self.done = bool(line.get("done"))
        if self.done:
            rest, last_thought = self._thoughts.end()
            text, thought = text + rest, thought + last_thought
        reason = self._part(line, "done_reason", str, "") if self.done else ""
        if reason in _NO_ANSWER:
            raise BadResponseError(f"Ollama answered for {self._model!r} that it did no more than to {reason} it")
        return Chunk(
            text=text,
            thinking=self._part(said, "thinking", str, "") + thought,
            tool_calls=tuple(self._tool_call(call) for call in self._part(said, "tool_calls", list, [])),
            logprobs=tuple(self._logprob(token) for token in self._part(line, "logprobs", list, [])),
            usage=self._usage(line) if self.done else None,
            finish_reason=reason or None,
            model=self._part(line, "model", str, "") or None,
            raw=line,
        )

    def _tool_call(self, call: Any) -> ToolCall:
        function = self._part(call, "function", dict, {})
        arguments = function.get("arguments")
        if not (arguments is None or isinstance(arguments, str | dict)):
            raise self._odd("arguments")
        given = cast("str | dict[str, Any] | None", arguments)
        return ToolCall.parse(str(function.get("name") or ""), given, id=str(call.get("id") or f"call_{new_id()}"))

    def _logprob(self, token: Any) -> float:
        return float(self._part(token, "logprob", (int, float), None))

    def _usage(self, line: dict[str, Any]) -> Usage | None:
        """Zero counts are left out by the server, so what is not there is not known."""
        counts = [self._count(line, key) for key in _COUNTS]
        return None if counts == [None, None] else Usage(*counts)

    def _count(self, line: dict[str, Any], key: str) -> int | None:
        value = line.get(key)
        if value is not None and (type(value) is not int or value < 0):
            raise self._odd(key)
        return value

    def _part(self, of: Any, key: str, kind: Any, default: Any) -> Any:
        """What stands under a key; without a default it has to be there.

        Raises:
            BadResponseError: It is of another kind than Ollama sends.
        """
        if not isinstance(of, dict):
            raise self._odd(f"container of {key!r}")
        value = cast("dict[str, Any]", of).get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, kind):
            raise self._odd(key)
        return value

    def _odd(self, what: str) -> BadResponseError:
        return BadResponseError(f"Ollama sent a line for {self._model!r} whose {what} is missing or makes no sense")


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
