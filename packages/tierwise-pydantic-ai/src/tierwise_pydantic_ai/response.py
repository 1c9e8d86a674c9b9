"""What a routed model gives back: the answering model's own response, stamped with the decision and the bill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import AsyncGeneratorType
from typing import cast

from pydantic_ai.messages import (
    ModelRequestAttempt,
    ModelResponse,
    ModelResponseStreamEvent,
    PartEndEvent,
    PartStartEvent,
)
from pydantic_ai.models import CompletedStreamedResponse, StreamedResponse
from pydantic_ai.usage import RequestUsage
from tierwise import Reply
from tierwise.attempt import Chunk, Purpose
from tierwise.ledger import Row
from tierwise.reply import AsyncReplyStream

from tierwise_pydantic_ai.backend import Event
from tierwise_pydantic_ai.convert import core_parts

__all__ = ["RoutedResponse", "stamped"]

_ASKED: frozenset[Purpose] = frozenset({"answer", "draft", "sample", "vote", "synthesis"})
"""What a call can be for that was asked what the agent asked; a judge or a planner was asked something else."""


@dataclass
class RoutedResponse(StreamedResponse):
    """The stream of the model that answers, live or as a held response; its parts are managed there alone."""

    first: Chunk
    chunks: AsyncGeneratorType[Chunk, None]
    stream: AsyncReplyStream
    tell: Callable[[Reply], None]

    def __post_init__(self) -> None:
        raw = self.first.raw
        self._held = not isinstance(raw, Event)
        self._source: StreamedResponse = (
            raw.source
            if isinstance(raw, Event)
            else CompletedStreamedResponse(
                cast("ModelResponse", self.first.whole),
                model_request_parameters=self.model_request_parameters,
                replay_events=True,
            )
        )
        self._reply: Reply | None = None

    def __aiter__(self) -> AsyncIterator[ModelResponseStreamEvent]:
        if self._event_iterator is None:
            events = self._get_event_iterator()
            self._event_iterator = events if self._request_deadline is None else self._request_deadline.iterate(events)
        return self._event_iterator

    async def _get_event_iterator(self) -> AsyncGenerator[ModelResponseStreamEvent]:
        # The source has added the events of ends and of the final result, which the base class would add once more.
        if self._held:
            async for event in self._source:
                yield event
        else:
            for event in self._events(self.first):
                yield event
        try:
            async for chunk in self.chunks:
                for event in self._events(chunk):
                    yield event
        except asyncio.CancelledError:
            if not self._source.cancelled:
                raise
            return
        self.final_result_event = self._source.final_result_event
        self._finished = not self._cancelled
        if self._finished:
            self._reply = self.stream.reply
            self.tell(self._reply)

    def _events(self, chunk: Chunk) -> Sequence[ModelResponseStreamEvent]:
        if isinstance(chunk.raw, Event):
            return (chunk.raw.event,)
        if not chunk.is_visible:
            return ()
        # Tool calls that the model wrote as text come as whole parts, behind those that it streamed.
        parts = enumerate(core_parts(chunk), len(self._source.get().parts))
        return [kind(index=place, part=part) for place, part in parts for kind in (PartStartEvent, PartEndEvent)]

    async def close_stream(self) -> None:
        """Closes the call, also while another task waits for its next event."""
        if self.chunks.ag_running:
            await self._source.cancel()
        else:
            await self.chunks.aclose()

    def get(self) -> ModelResponse:
        """The response so far; at the end, with the decision and the bill."""
        if self._reply is not None:
            response = stamped(cast("ModelResponse", self._reply.outcome.raw), self._reply)
        else:
            state = "interrupted" if self._cancelled else "incomplete"
            response = replace(self._source.get(), state=state)
        # A model around this one writes on the stream what it has to say of it.
        if self.metadata:
            response.metadata = {**(response.metadata or {}), **self.metadata}
        if self.failed_attempts:
            response.failed_attempts = [*self.failed_attempts, *(response.failed_attempts or [])]
        return response

    @property
    def usage(self) -> RequestUsage:
        """The usage of the call that answers."""
        return self._source.usage

    @property
    def model_name(self) -> str:
        """The name of the model that answers."""
        return self._source.model_name

    @property
    def provider_name(self) -> str | None:
        """The provider of the model that answers."""
        return self._source.provider_name

    @property
    def provider_url(self) -> str | None:
        """The address of the provider."""
        return self._source.provider_url

    @property
    def timestamp(self) -> datetime:
        """When the response began."""
        return self._source.timestamp


def stamped(response: ModelResponse, reply: Reply) -> ModelResponse:
    """The response with who answered at what cost in its metadata, and with the calls before it as `failed_attempts`.

    Its usage has the cost that the receipt has: Pydantic AI fills in what is missing there, and knows public prices
    only.
    """
    made = _copied(response)
    made.metadata = {**(response.metadata or {}), "tierwise": reply.as_metadata()}
    if len(reply.attempts) > 1:
        answered = reply.outcome.attempt.call_id
        before = [_attempt(row) for row in reply.attempts if row.call_id != answered and row.purpose in _ASKED]
        made.failed_attempts = [*before, *(response.failed_attempts or [])] or None
    if reply.outcome.cost is not None:
        made.usage = copy(response.usage)
        made.usage.cost = reply.outcome.cost
    return made


def _copied(response: ModelResponse) -> ModelResponse:
    """The same response once more: `copy` and `replace` take ten times as long."""
    made = object.__new__(type(response))
    vars(made).update(vars(response))
    return made


def _attempt(row: Row) -> ModelRequestAttempt:
    provider, _, name = row.model.partition(":")
    return ModelRequestAttempt(
        model_name=row.answered_by or name,
        provider_name=provider,
        outcome="rejected" if row.error_type is None else "error",
        error=None if row.error_type is None else f"{row.error_type}: {row.error}",
        timestamp=datetime.fromtimestamp(row.started_at, tz=UTC),
        duration=timedelta(seconds=row.latency or 0.0),
        usage=_usage(row),
    )


def _usage(row: Row) -> RequestUsage | None:
    """What the provider counted: an estimate is for the receipt, which can say that it is one."""
    usage = row.usage
    if usage is None or usage.estimated or row.error_type is not None:
        return None
    return RequestUsage(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        cost=row.cost,
    )
