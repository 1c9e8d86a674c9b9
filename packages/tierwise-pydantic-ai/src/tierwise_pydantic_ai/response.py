"""What a routed model gives back: the answering model's own response, stamped with the decision and the bill."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import cast

from pydantic_ai.messages import ModelRequestAttempt, ModelResponse, ModelResponseStreamEvent, PartStartEvent
from pydantic_ai.models import CompletedStreamedResponse, StreamedResponse
from pydantic_ai.usage import RequestUsage
from tierwise import Reply
from tierwise.flow import Chunk
from tierwise.ledger import Row
from tierwise.reply import AsyncReplyStream

from tierwise_pydantic_ai.backend import Event
from tierwise_pydantic_ai.convert import core_parts

__all__ = ["RoutedResponse", "stamped"]


@dataclass
class RoutedResponse(StreamedResponse):
    """The stream of the model that answers, live or as a held response; its parts are managed there alone."""

    first: Chunk
    chunks: AsyncIterator[Chunk]
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
            self._event_iterator = self._get_event_iterator()
        return self._event_iterator

    async def _get_event_iterator(self) -> AsyncGenerator[ModelResponseStreamEvent]:
        if self._held:
            async for event in self._source:
                yield event
        else:
            for event in self._events(self.first):
                yield event
        async for chunk in self.chunks:
            for event in self._events(chunk):
                yield event
        self.final_result_event = self._source.final_result_event
        self._finished = not self._cancelled
        if self._finished:
            self._reply = self.stream.reply
            self.tell(self._reply)

    def _events(self, chunk: Chunk) -> Iterator[ModelResponseStreamEvent]:
        if isinstance(chunk.raw, Event):
            yield chunk.raw.event
        elif chunk.is_visible:
            # Tool calls that the model wrote as text come as whole parts, behind those that it streamed.
            for place, part in enumerate(core_parts(chunk), len(self._source.get().parts)):
                yield PartStartEvent(index=place, part=part)

    async def close_stream(self) -> None:
        """Closes the call."""
        await cast("AsyncGenerator[Chunk]", self.chunks).aclose()

    def get(self) -> ModelResponse:
        """The response so far; at the end, with the decision and the bill."""
        if self._reply is not None:
            return stamped(cast("ModelResponse", self._reply.outcome.raw), self._reply)
        return replace(self._source.get(), state="interrupted" if self._cancelled else "incomplete")

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
    """The response with the calls before it as `failed_attempts`, and who answered at what cost in its metadata."""
    answered = reply.outcome.attempt.call_id
    before = [_attempt(row) for row in reply.attempts if row.call_id != answered and row.purpose in ("draft", "answer")]
    metadata = {**(response.metadata or {}), "tierwise": reply.as_metadata()}
    return replace(response, metadata=metadata, failed_attempts=before or None)


def _attempt(row: Row) -> ModelRequestAttempt:
    usage = None
    if row.usage is not None and row.error is None:
        usage = RequestUsage(input_tokens=row.usage.input_tokens or 0, output_tokens=row.usage.output_tokens or 0)
    provider, _, name = row.model.partition(":")
    return ModelRequestAttempt(
        model_name=row.answered_by or name,
        provider_name=provider,
        outcome="rejected" if row.error is None else "error",
        error=None if row.error is None else f"{row.error_type}: {row.error}",
        timestamp=datetime.fromtimestamp(row.started_at, tz=UTC),
        duration=timedelta(seconds=row.latency or 0.0),
        usage=usage,
    )
