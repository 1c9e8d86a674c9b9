"""The suite for adapters, through a real `Agent`, in every way in which an agent is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_ai import Agent, DeferredToolRequests, RunContext
from pydantic_ai.messages import (
    AgentStreamEvent,
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import ExternalToolset
from tierwise import Router, Usage
from tierwise.messages import Tool
from tierwise.testing.conformance import AdapterConformance, Answer, Question, Way
from tierwise.testing.provider import LoopbackProvider
from tierwise_pydantic_ai import RoutedModel
from tierwise_pydantic_ai.convert import from_core, response_to_core

NO_RETRIES = ModelSettings(max_retries=0)

Show = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """Agents over one router. Each has models of its own: a model's HTTP client serves one event loop at a time."""

    provider: LoopbackProvider
    router: Router
    task: dict[str, Any]

    def agent(self, question: Question) -> Agent[object, Any]:
        ollama = OllamaProvider(base_url=self.provider.openai_url)
        openai = OpenAIProvider(self.provider.openai_url, api_key="key")
        models = {
            "small": OllamaModel("small", provider=ollama, settings=NO_RETRIES),
            "large": OpenAIChatModel("large", provider=openai, settings=NO_RETRIES),
        }
        output: Any = question.output_type or str
        if question.tools:
            output = [output, DeferredToolRequests]
        model = RoutedModel(self.router, models=models, task=self.task)
        return Agent(model, output_type=output, toolsets=[external(question.tools)])


def external(tools: Sequence[Tool]) -> ExternalToolset[object]:
    """Offered, and carried out by somebody else: an agent's run ends with the calls."""
    return ExternalToolset([ToolDefinition(name=t.name, parameters_json_schema=dict(t.parameters)) for t in tools])


@contextmanager
def own_loop() -> Generator[None]:
    """An event loop for this thread, closed at its end: Pydantic AI would make one, and leave it open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def asked(question: Question) -> dict[str, Any]:
    return {"message_history": from_core(question.messages)}


def answered(output: Any, messages: Sequence[ModelMessage]) -> Answer:
    last = messages[-1] if isinstance(messages[-1], ModelResponse) else messages[-2]
    assert isinstance(last, ModelResponse)
    called = isinstance(output, DeferredToolRequests)
    usage = last.usage
    return Answer(
        text=output if isinstance(output, str) else "",
        tool_calls=tuple((c.name, dict(c.arguments)) for c in response_to_core(last).tool_calls) if called else (),
        output=None if called or isinstance(output, str) else output,
        usage=Usage(usage.input_tokens, usage.output_tokens),
    )


async def shown(events: AsyncIterable[AgentStreamEvent], show: Show) -> None:
    async for event in events:
        show_text(event, show)


def show_more(response: ModelResponse, seen: int, show: Show) -> int:
    """Shows what has come since `seen` characters: a response is given whole each time."""
    text = response.text or ""
    show(text[seen:])
    return len(text)


def show_text(event: AgentStreamEvent, show: Show) -> None:
    if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
        show(event.part.content)
    elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
        show(event.delta.content_delta)


class Harness:
    """`run`, `run_sync`, `run_stream` and `run_stream_sync`."""

    ways: tuple[Way, ...] = ("invoke", "ainvoke", "stream", "astream")

    def build(self, provider: LoopbackProvider, router: Router, **task: Any) -> Built:
        return Built(provider, router, task)

    def invoke(self, built: Built, question: Question) -> Answer:
        with own_loop():
            result = built.agent(question).run_sync(**asked(question))
        return answered(result.output, result.all_messages())

    async def ainvoke(self, built: Built, question: Question) -> Answer:
        result = await built.agent(question).run(**asked(question))
        return answered(result.output, result.all_messages())

    def stream(self, built: Built, question: Question, show: Show) -> Answer:
        with own_loop(), built.agent(question).run_stream_sync(**asked(question)) as result:
            if question.output_type is None and not question.tools:
                for text in result.stream_text(delta=True, debounce_by=None):
                    show(text)
            else:
                seen = 0
                for response in result.stream_response(debounce_by=None):
                    seen = show_more(response, seen, show)
            return answered(result.get_output(), result.all_messages())

    async def astream(self, built: Built, question: Question, show: Show) -> Answer:
        async with built.agent(question).run_stream(**asked(question)) as result:
            if question.output_type is None and not question.tools:
                async for text in result.stream_text(delta=True, debounce_by=None):
                    show(text)
            else:
                seen = 0
                async for response in result.stream_response(debounce_by=None):
                    seen = show_more(response, seen, show)
            return answered(await result.get_output(), result.all_messages())


class EventsHarness(Harness):
    """`run_stream_events`."""

    ways: tuple[Way, ...] = ("astream",)

    async def astream(self, built: Built, question: Question, show: Show) -> Answer:
        result = None
        async with built.agent(question).run_stream_events(**asked(question)) as events:
            async for event in events:
                if event.event_kind == "agent_run_result":
                    result = event.result
                else:
                    show_text(event, show)
        assert result is not None
        return answered(result.output, result.all_messages())


class NodesHarness(Harness):
    """`iter`, and the streams of its nodes."""

    ways: tuple[Way, ...] = ("astream",)

    async def astream(self, built: Built, question: Question, show: Show) -> Answer:
        async with built.agent(question).iter(**asked(question)) as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as stream:
                        await shown(stream, show)
        assert run.result is not None
        return answered(run.result.output, run.result.all_messages())


class HandlerHarness(Harness):
    """`run` with an `event_stream_handler`."""

    ways: tuple[Way, ...] = ("ainvoke",)

    async def ainvoke(self, built: Built, question: Question) -> Answer:
        async def handled(ctx: RunContext[object], events: AsyncIterable[AgentStreamEvent]) -> None:
            await shown(events, lambda text: None)

        result = await built.agent(question).run(event_stream_handler=handled, **asked(question))
        return answered(result.output, result.all_messages())


class TestRuns(AdapterConformance):
    harness = Harness()


class TestEvents(AdapterConformance):
    harness = EventsHarness()


class TestNodes(AdapterConformance):
    harness = NodesHarness()


class TestHandlers(AdapterConformance):
    harness = HandlerHarness()
