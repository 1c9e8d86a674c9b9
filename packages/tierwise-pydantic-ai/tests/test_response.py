"""Streams that are stopped, held, or repaired."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, PartEndEvent, PartStartEvent, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from tierwise import Reply as Answer
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_pydantic_ai import RoutedModel

Make = Callable[..., RoutedModel]

ASKED: list[ModelMessage] = [ModelRequest.user_text_prompt("Why?")]
LOOK = ToolDefinition(name="look", parameters_json_schema={"type": "object", "properties": {"n": {"type": "integer"}}})


async def closed(provider: LoopbackProvider) -> bool:
    await asyncio.to_thread(provider.wait_until, lambda: provider.calls[0].client_closed)
    await asyncio.to_thread(provider.wait_idle)
    return provider.calls[0].client_closed


async def test_a_stream_is_cancelled_while_another_task_waits_for_it(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("large", Reply(text="one two three four", stall_after=2, gate=threading.Event()))
    model = routed(task={"min_tier": "large", "session": "s"})
    seen = asyncio.Event()
    async with Agent(model).run_stream("Count") as result:

        async def read() -> None:
            async for _ in result.stream_text(delta=True, debounce_by=None):
                seen.set()

        reader = asyncio.create_task(read())
        await seen.wait()
        await asyncio.sleep(0.05)
        await result.cancel()
        await reader
    assert await closed(provider)
    last = result.all_messages()[-1]
    assert isinstance(last, ModelResponse)
    assert last.state == "interrupted"
    assert replies == []
    [row] = model._router.receipt(session="s").rows
    assert row.usage is not None
    assert row.usage.estimated


@pytest.mark.parametrize("how", ["leave", "cancel", "task"])
async def test_a_stream_that_is_left_closes_its_call_and_is_billed_as_an_estimate(
    provider: LoopbackProvider, routed: Make, how: str
) -> None:
    provider.on("large", Reply(text="one two three four", stall_after=2, gate=threading.Event()))
    model = routed(task={"min_tier": "large", "session": "s"})
    seen = asyncio.Event()

    async def read() -> None:
        async with model.request_stream(ASKED, None, ModelRequestParameters()) as stream:
            async for event in stream:
                seen.set()
                if isinstance(event, PartStartEvent) and how != "task":
                    break
            if how == "cancel":
                await stream.cancel()
                assert stream.get().state == "interrupted"

    reading = asyncio.create_task(read())
    if how == "task":
        await seen.wait()
        reading.cancel()
    await asyncio.wait([reading])
    assert reading.cancelled() == (how == "task")
    assert await closed(provider)
    [row] = model._router.receipt(session="s").rows
    assert row.usage is not None
    assert row.usage.estimated


async def test_a_stream_says_what_it_is_while_it_runs(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(text="one two three"))
    model = routed(task={"min_tier": "large"})
    async with model.request_stream(ASKED, None, ModelRequestParameters()) as stream:
        events = aiter(stream)
        await anext(events)
        assert (stream.model_name, stream.provider_name, stream.get().state) == ("large", "openai", "incomplete")
        assert aiter(stream) is events
        _ = [event async for event in events]
        assert stream.get().state == "complete"
        assert stream.get().text == "one two three"
        assert stream.usage.output_tokens == provider.calls[0].billed_output


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_a_call_that_was_written_as_text_is_streamed_as_a_whole_part(
    provider: LoopbackProvider, routed: Make, tier: str
) -> None:
    provider.on(tier, Reply(json={"name": "look", "arguments": {"n": 1}}))
    model = routed(task={"min_tier": tier})
    async with model.request_stream(ASKED, None, ModelRequestParameters(function_tools=[LOOK])) as stream:
        events: list[Any] = [event async for event in stream]
    started = [e.part for e in events if isinstance(e, PartStartEvent)]
    ended = [e.part for e in events if isinstance(e, PartEndEvent)]
    assert [type(p) for p in started] == [type(p) for p in ended] == [ToolCallPart]
    assert [p.part_kind for p in stream.get().parts] == ["tool-call"]
