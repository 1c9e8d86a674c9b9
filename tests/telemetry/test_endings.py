"""Runs that do not come to their end: streams that are left, or break, and cancelled runs."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.trace import StatusCode
from tierwise.errors import StreamBrokenError
from tierwise.testing.provider import LoopbackProvider, Reply

from .recording import Recording, by_stream, router, told


def test_a_stream_that_is_left_early_is_no_error(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(text="One two three four.", stall_after=2))
    with router(provider, recording.telemetry()).stream("Count.") as stream:
        next(iter(stream))
    check_interrupted(recording)


async def test_an_async_stream_that_is_left_early_is_no_error(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(text="One two three four.", stall_after=2))
    async with router(provider, recording.telemetry()).astream("Count.") as stream:
        async for _ in stream:
            break
    check_interrupted(recording)


def check_interrupted(recording: Recording) -> None:
    (attempt,) = recording.attempts
    assert told(attempt)["tierwise.attempt.ended"] == "interrupted"
    assert told(attempt)["gen_ai.response.finish_reasons"] == ("error",)
    assert told(attempt)["tierwise.attempt.usage.estimated"] is True
    assert told(recording.run)["tierwise.status"] == "interrupted"
    assert "error.type" not in {**told(attempt), **told(recording.run)}
    assert attempt.status.status_code == recording.run.status.status_code == StatusCode.UNSET


def test_a_stream_that_is_never_read_is_no_run(provider: LoopbackProvider, recording: Recording) -> None:
    with router(provider, recording.telemetry()).stream("Hello?"):
        pass
    assert recording.spans == ()


def test_a_stream_that_breaks_is_an_error(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(text="One two three four.", disconnect_after=2))
    with pytest.raises(StreamBrokenError):
        by_stream(router(provider, recording.telemetry()), "Count.")
    (attempt,) = recording.attempts
    assert told(recording.run)["error.type"] == "StreamBrokenError"
    assert told(attempt)["error.type"] == "BadResponseError"


async def test_a_cancelled_run_is_told_as_such(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(stall=True))
    call = asyncio.create_task(router(provider, recording.telemetry()).arun("Hello?"))
    await asyncio.to_thread(provider.wait_until, lambda: provider.open_calls == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    (attempt,) = recording.attempts
    assert told(recording.run)["error.type"] == told(attempt)["error.type"] == "CancelledError"
    assert attempt.status.status_code == recording.run.status.status_code == StatusCode.ERROR
