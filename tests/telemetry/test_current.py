"""While a backend works its call's span is the current one, and never while anyone else does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextvars import copy_context
from typing import Any

import httpx
import pytest
from opentelemetry import context, trace
from tierwise import Attempt, Cascade, Outcome, Router, Task
from tierwise.attempt import Chunk
from tierwise.strategies import Vote, act_only
from tierwise.testing.provider import LoopbackProvider, Reply

from .recording import FLEET, Drive, Recording, accepts, accepts_large, every_driver, rejects, router


@pytest.fixture
def instrumented(monkeypatch: pytest.MonkeyPatch, recording: Recording) -> None:
    """Wraps what OpenTelemetry's own instrumentation of the HTTP client wraps, and makes the same kind of span."""
    tracer = recording.tracers.get_tracer("http")
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def traced(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        with tracer.start_as_current_span(f"{request.method} {request.url.path}"):
            return await send(self, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", traced)


def parents(recording: Recording, name: str) -> list[Any]:
    """The names of the spans that lie over those of that name."""
    names = {span.context.span_id: span.name for span in recording.spans if span.context is not None}
    return [names.get(span.parent.span_id) if span.parent else None for span in recording.spans if span.name == name]


@every_driver
@pytest.mark.usefixtures("instrumented")
def test_what_the_http_client_does_lies_beneath_the_attempt(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    strategy = Cascade(accepts_large)
    drive(router(provider, recording.telemetry(), strategy=strategy), "Hello?")
    assert parents(recording, "POST /api/chat") == ["chat small", "chat large"]
    assert context.get_current() == {}


@every_driver
@pytest.mark.usefixtures("instrumented")
def test_so_it_does_in_voices_side_by_side(drive: Drive, provider: LoopbackProvider, recording: Recording) -> None:
    for name in ("small", "large"):
        provider.on(name, Reply(text="42", first_token_delay=0.1))
    drive(router(provider, recording.telemetry(), strategy=Vote(["small", "large", "small"])), "6 * 7?")
    assert sorted(parents(recording, "POST /api/chat")) == ["chat large", "chat small", "chat small"]


@every_driver
@pytest.mark.usefixtures("instrumented")
def test_so_it_does_in_a_gated_draft(drive: Drive, provider: LoopbackProvider, recording: Recording) -> None:
    drive(router(provider, recording.telemetry(), strategy=Cascade(rejects, gate=act_only())), "Hello?")
    assert set(parents(recording, "POST /api/chat")) == {"chat small", "chat large"}


@every_driver
def test_the_callers_span_is_the_parent_and_stays_current(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    tracer = recording.tracers.get_tracer("framework")
    with tracer.start_as_current_span("invoke_agent") as outer:
        drive(router(provider, recording.telemetry()), "Hello?")
        assert trace.get_current_span() is outer
    assert parents(recording, "tierwise.run") == ["invoke_agent"]
    assert {span.context.trace_id for span in recording.spans if span.context} == {outer.get_span_context().trace_id}


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_routed_call_inside_a_backend_lies_beneath_its_attempt(
    kind: str, provider: LoopbackProvider, recording: Recording
) -> None:
    inner = router(provider, recording.telemetry())

    def call(attempt: Attempt) -> str:
        return inner.run("And you?").text

    async def acall(attempt: Attempt) -> str:
        return (await inner.arun("And you?")).text

    backends = {"ollama": call if kind == "sync" else acall}
    outer = Router(FLEET, strategy=Cascade(accepts), backends=backends, telemetry=recording.telemetry())
    await outer.arun("Hello?")
    assert parents(recording, "tierwise.run") == ["chat small", None]


def test_the_consumer_of_a_stream_is_not_inside_the_call(provider: LoopbackProvider, recording: Recording) -> None:
    with router(provider, recording.telemetry()).stream("Hello?") as stream:
        for _ in stream:
            assert trace.get_current_span() is trace.INVALID_SPAN
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_the_consumer_of_an_async_stream_is_not_inside_the_call(
    provider: LoopbackProvider, recording: Recording
) -> None:
    async with router(provider, recording.telemetry()).astream("Hello?") as stream:
        async for _ in stream:
            assert trace.get_current_span() is trace.INVALID_SPAN
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """OpenTelemetry does not raise where a context is left that was not entered: it logs."""
    with caplog.at_level(logging.DEBUG, logger="opentelemetry"):
        yield
    logged = {record.name.partition(".")[0] for record in caplog.get_records("call")}
    assert not logged & {"opentelemetry", "tierwise"}


@pytest.mark.usefixtures("quiet")
def test_a_stream_may_be_closed_in_another_context(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(text="One two three four.", stall_after=2))
    opening = router(provider, recording.telemetry()).stream("Count.")
    stream = copy_context().run(opening.__enter__)
    copy_context().run(next, iter(stream))
    copy_context().run(opening.__exit__, None, None, None)
    assert [span.name for span in recording.spans] == ["chat small", "tierwise.run"]
    assert parents(recording, "chat small") == ["tierwise.run"]


@pytest.mark.usefixtures("quiet")
async def test_an_async_stream_may_be_closed_by_another_task(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(text="One two three four.", stall_after=2))
    opening = router(provider, recording.telemetry()).astream("Count.")
    stream = await asyncio.create_task(opening.__aenter__())
    await asyncio.create_task(_first(aiter(stream)))
    await asyncio.create_task(opening.__aexit__(None, None, None))
    assert [span.name for span in recording.spans] == ["chat small", "tierwise.run"]


async def _first(chunks: AsyncIterator[Chunk]) -> Chunk:
    return await anext(chunks)


class Waiting:
    """Waits for ever."""

    def __await__(self) -> Any:
        while True:
            yield


@pytest.mark.usefixtures("quiet")
def test_a_call_that_is_thrown_away_while_it_waits_is_closed_elsewhere(recording: Recording) -> None:
    async def forever(attempt: Attempt) -> Outcome:
        await Waiting()
        return Outcome(attempt)

    made = Router(FLEET, backends={"ollama": forever}, telemetry=recording.telemetry())
    call = made.arun(Task("Hello?"))
    copy_context().run(call.send, None)
    copy_context().run(call.close)
    assert [span.name for span in recording.spans] == ["chat small", "tierwise.run"]
    assert context.get_current() == {}
