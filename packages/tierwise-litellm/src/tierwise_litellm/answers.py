"""What LiteLLM gives back, as outcomes and chunks: what the provider said, without what LiteLLM adds to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.errors import BadResponseError
from tierwise.fleet import Usage
from tierwise.messages import ToolCall

from tierwise_litellm.providers import provider_of

__all__ = ["Assembly", "outcome_of", "usage_of"]


def outcome_of(attempt: Attempt, response: Any) -> Outcome:
    """The outcome of a call that was not streamed.

    Raises:
        BadResponseError: The response holds no answer.
    """
    if not response.choices:
        raise BadResponseError(f"{attempt.model.id}: the response holds no answer")
    choice = response.choices[0]
    message = choice.message
    calls = tuple(
        ToolCall.parse(c.function.name or "", c.function.arguments, id=c.id or f"call_{i}")
        for i, c in enumerate(message.tool_calls or ())
    )
    refusal = _refusal(message)
    return Outcome(
        attempt,
        text=message.content or refusal,
        thinking=getattr(message, "reasoning_content", None) or "",
        tool_calls=calls,
        logprobs=_logprobs(choice) or None,
        usage=usage_of([getattr(response, "usage", None)]),
        model=_answered(attempt, response.model),
        response_id=response.id,
        finish_reason="content_filter" if refusal else _finish(choice.finish_reason, calls),
        raw=response,
    )


def usage_of(counts: Iterable[Any]) -> Usage | None:
    """The tokens that a provider reported, once or several times in one stream; `None` if it did not.

    Counts in a stream are running totals, and a report may hold a part of them: the last
    of each that is not zero holds. LiteLLM fills a missing report with zeros; no prompt has zero tokens.
    """
    known = [count for count in counts if count is not None]
    tokens_in = _last(getattr(c, "prompt_tokens", None) for c in known)
    tokens_out = _last(getattr(c, "completion_tokens", None) for c in known)
    if not tokens_in and not tokens_out:
        return None
    cached = _last(_detail(c, "prompt_tokens_details", "cached_tokens", "cache_read_input_tokens") for c in known)
    written = _last(
        _detail(c, "prompt_tokens_details", "cache_creation_tokens", "cache_creation_input_tokens") for c in known
    )
    reasoning = _last(_detail(c, "completion_tokens_details", "reasoning_tokens", "reasoning_tokens") for c in known)
    # Some providers count cached and reasoning tokens apart from the others.
    return Usage(
        (tokens_in + cached + written if cached + written > tokens_in else tokens_in) if tokens_in else None,
        tokens_out + reasoning if reasoning > tokens_out else tokens_out,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )


@dataclass(slots=True)
class _Part:
    """A tool call that is being written."""

    id: str
    name: str = ""
    arguments: str = ""


class Assembly:
    """Turns LiteLLM's chunks into ours: tool calls whole, and at the end what the provider reported.

    Args:
        attempt: The call.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._model: str | None = None
        self._parts: list[_Part] = []
        self._index = 0
        self._given = 0
        self._refused = False

    def feed(self, raw: Any) -> Chunk | None:
        """The chunk, if it holds anything. Its finish reason and usage wait for the end, where they are certain."""
        self._model = getattr(raw, "_hidden_params", {}).get("provider_response_model") or self._model
        if not raw.choices:
            return None
        choice = raw.choices[0]
        delta = choice.delta
        refusal = _refusal(delta)
        self._refused = self._refused or bool(refusal)
        chunk = Chunk(
            text=delta.content or refusal,
            thinking=getattr(delta, "reasoning_content", None) or "",
            tool_calls=self._take(delta.tool_calls or ()),
            logprobs=_logprobs(choice),
            model=_answered(self._attempt, self._model),
            response_id=raw.id,
            raw=raw,
        )
        return chunk if chunk.text or chunk.thinking or chunk.tool_calls or chunk.logprobs else None

    def end(self, stream: Any) -> Chunk:
        """The last chunk: the tool calls that are left, the finish reason and the usage.

        LiteLLM ends a stream that breaks off as if it had been finished, and estimates the usage of one that reports
        none; what the provider itself sent is kept in the stream.

        Raises:
            BadResponseError: The provider sent no finish reason: the answer is cut off.
        """
        finish = stream.received_finish_reason or stream.intermittent_finish_reason
        if finish is None:
            raise BadResponseError(f"{self._attempt.model.id}: the stream ended before the answer did")
        calls = self._rest(len(self._parts))
        return Chunk(
            tool_calls=calls,
            usage=usage_of(getattr(chunk, "usage", None) for chunk in stream.chunks),
            finish_reason="content_filter" if self._refused else _finish(finish, self._parts),
            model=_answered(self._attempt, self._model),
        )

    def _take(self, deltas: Iterable[Any]) -> tuple[ToolCall, ...]:
        """Adds pieces of tool calls; gives those that are complete, since a later one has begun."""
        for delta in deltas:
            if self._begins(delta):
                self._parts.append(_Part(delta.id or f"call_{len(self._parts)}"))
                self._index = delta.index
            part = self._parts[-1]
            part.name += delta.function.name or ""
            part.arguments += delta.function.arguments or ""
        return self._rest(len(self._parts) - 1)

    def _begins(self, delta: Any) -> bool:
        """A new index begins a call, and so does a new id: some providers give every call the index 0."""
        if not self._parts or delta.index != self._index:
            return True
        return bool(delta.id) and delta.id != self._parts[-1].id

    def _rest(self, end: int) -> tuple[ToolCall, ...]:
        ready = self._parts[self._given : end]
        self._given = max(self._given, end)
        return tuple(ToolCall.parse(p.name, p.arguments, id=p.id) for p in ready)


def _refusal(message: Any) -> str:
    """The words with which a model refuses; OpenAI keeps them apart from the answer."""
    fields: dict[str, Any] = getattr(message, "provider_specific_fields", None) or {}
    return getattr(message, "refusal", None) or fields.get("refusal") or ""


def _finish(reason: str | None, calls: Iterable[Any]) -> str | None:
    if reason == "function_call" or (reason == "stop" and any(True for _ in calls)):
        return "tool_calls"
    return reason


def _answered(attempt: Attempt, model: str | None) -> str | None:
    return model.removeprefix(f"{provider_of(attempt.model)}/") if model else None


def _logprobs(choice: Any) -> tuple[float, ...]:
    content = getattr(getattr(choice, "logprobs", None), "content", None)
    return tuple(token.logprob for token in content or ())


def _last(values: Iterable[Any]) -> int:
    return next((int(v) for v in reversed(list(values)) if v), 0)


def _detail(count: Any, group: str, name: str, plain: str) -> Any:
    return getattr(getattr(count, group, None), name, None) or getattr(count, plain, None)
