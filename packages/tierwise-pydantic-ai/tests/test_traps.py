"""Where routers of this kind break in real agents: each is a test, under the number that it has in our list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from tierwise import Always, Cascade, Complexity, Fleet, ModelSpec, Outcome, Price, Router, Single, Tier
from tierwise import Reply as Answer
from tierwise.errors import AllModelsFailedError
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_pydantic_ai import RoutedModel

Make = Callable[..., RoutedModel]

DRAFT = "This draft is far too long to be accepted"


def short(outcome: Outcome) -> bool:
    return len(outcome.text) < 40


class Person(BaseModel):
    name: str
    age: int


async def test_2_a_valid_tool_call_and_a_typed_output_cost_one_call_each(
    provider: LoopbackProvider, routed: Make
) -> None:
    provider.on(
        "small",
        Reply(tool_calls=[Call("age_of", {"name": "Ada"})]),
        Reply(tool_calls=[Call("final_result", {"name": "Ada", "age": 36})]),
    )
    agent: Agent[None, Person] = Agent(routed(), output_type=Person)

    def age_of(name: str) -> int:
        return 36

    agent.tool_plain(age_of)
    assert (await agent.run("How old is Ada?")).output == Person(name="Ada", age=36)
    assert [c.model for c in provider.calls] == ["small", "small"]


async def stream_text(agent: Agent[None, Any]) -> AsyncIterator[str]:
    async with agent.run_stream("Why?") as result:
        async for text in result.stream_text(debounce_by=None):
            yield text


async def stream_output(agent: Agent[None, Any]) -> AsyncIterator[str]:
    async with agent.run_stream("Why?") as result:
        async for output in result.stream_output(debounce_by=None):
            yield output


async def stream_response(agent: Agent[None, Any]) -> AsyncIterator[str]:
    async with agent.run_stream("Why?") as result:
        async for response in result.stream_response(debounce_by=None):
            yield repr(response.parts)


async def stream_events(agent: Agent[None, Any]) -> AsyncIterator[str]:
    async with agent.run_stream_events("Why?") as events:
        async for event in events:
            yield repr(event) if event.event_kind != "agent_run_result" else event.result.output


async def node_streams(agent: Agent[None, Any]) -> AsyncIterator[str]:
    async with agent.iter("Why?") as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as stream:
                    async for event in stream:
                        yield repr(event)


async def event_handler(agent: Agent[None, Any]) -> AsyncIterator[str]:
    seen: list[str] = []

    async def handle(ctx: Any, events: Any) -> None:
        seen.extend([repr(event) async for event in events])

    yield (await agent.run("Why?", event_stream_handler=handle)).output
    for event in seen:
        yield event


async def drained(pieces: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in pieces]


STREAMS = [stream_text, stream_output, stream_response, stream_events, node_streams, event_handler]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.__name__)
async def test_3_a_rejected_draft_is_seen_in_no_stream(provider: LoopbackProvider, routed: Make, stream: Any) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    seen = await drained(stream(Agent(routed())))
    assert "answer" in seen[-1] or "answer" in "".join(seen)
    assert not any("draft" in piece and "far too long" in piece for piece in seen)
    assert [c.model for c in provider.calls] == ["small", "large"]


async def test_4_a_stream_goes_through_a_real_agent_with_a_tool(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain it is."))
    agent: Agent[None, str] = Agent(routed(task={"min_tier": "large"}))

    def weather(city: str) -> str:
        return f"Rain in {city}"

    agent.tool_plain(weather)
    async with agent.run_stream("The weather in Oslo?") as result:
        assert "".join([t async for t in result.stream_text(delta=True, debounce_by=None)]) == "Rain it is."
    assert all(c.stream for c in provider.calls)
    assert provider.calls[1].messages[-1]["content"] == "Rain in Oslo"


def text_function(text: str) -> str:
    return text.upper()


TYPES: dict[str, tuple[Any, Reply, Any]] = {
    "tool": (Person, Reply(tool_calls=[Call("final_result", {"name": "Ada", "age": 36})]), Person(name="Ada", age=36)),
    "named tool": (
        ToolOutput(Person, name="person"),
        Reply(tool_calls=[Call("person", {"name": "Ada", "age": 36})]),
        Person(name="Ada", age=36),
    ),
    "native": (NativeOutput(Person), Reply(json={"name": "Ada", "age": 36}), Person(name="Ada", age=36)),
    "prompted": (PromptedOutput(Person), Reply(json={"name": "Ada", "age": 36}), Person(name="Ada", age=36)),
    "union": ([Person, int], Reply(tool_calls=[Call("final_result_int", {"response": 36})]), 36),
    "text or type": ([Person, str], Reply(text="Nobody."), "Nobody."),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", TYPES)
async def test_5_every_kind_of_typed_output_works(
    provider: LoopbackProvider, routed: Make, kind: str, streamed: bool
) -> None:
    output_type, reply, expected = TYPES[kind]
    provider.on("small", reply)
    agent: Agent[None, Any] = Agent(routed(), output_type=output_type)
    if streamed:
        async with agent.run_stream("Who?") as result:
            output = await result.get_output()
    else:
        output = (await agent.run("Who?")).output
    assert output == expected
    assert provider.count() == 1


async def test_6_a_greeting_after_a_long_history_is_no_hard_request(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text="Hello!"))
    hard = "Prove step by step, and compare every architecture, why this algorithm must never fail. " * 40
    history = [ModelRequest([UserPromptPart(hard)]), ModelResponse([TextPart(hard)])]
    agent = Agent(routed(policy=Complexity() | Always("small")), instructions=hard)
    assert (await agent.run("hi", message_history=history)).output == "Hello!"
    assert [r.tier for r in replies] == ["small"]


@pytest.mark.parametrize("way", ["run", "stream"])
async def test_7_two_refused_keys_are_an_error_and_no_empty_success(
    provider: LoopbackProvider, routed: Make, way: str
) -> None:
    provider.on("small", Reply(status=401))
    provider.on("large", Reply(status=401))
    agent = Agent(routed())
    asked = agent.run("Why?") if way == "run" else drained(stream_text(agent))
    with pytest.raises(AllModelsFailedError, match=r"(?s)ollama:small: Auth.*openai:large: Auth"):
        await asked


async def test_8_a_local_model_is_free_and_an_unknown_price_is_unknown(
    provider: LoopbackProvider, routed: Make, models: dict[str, Model], replies: list[Answer]
) -> None:
    provider.on("small", Reply(text="Because."))
    result = await Agent(routed()).run("Why?")
    assert result.response.usage.cost == Decimal(0)
    provider.on("large", Reply(text="Because."))
    router = Router(Fleet([Tier("only", "openai:large")]), strategy=Single())
    unknown = RoutedModel(router, models={"only": models["large"]}, on_reply=replies.append)
    result = await Agent(unknown).run("Why?")
    assert result.response.usage.cost is None
    assert replies[-1].cost is None
    assert result.response.metadata is not None
    assert result.response.metadata["tierwise"]["cost"] is None


async def test_10_a_busy_small_tier_is_not_waited_for(provider: LoopbackProvider) -> None:
    """The client's own retries, which would wait as long as the provider asks for, are off by default."""
    provider.on("small", Reply(status=429, retry_after=50))
    provider.on("large", Reply(text="Because."))
    openai = OpenAIProvider(provider.openai_url, api_key="key")
    models: dict[str, Model | str] = {name: OpenAIChatModel(name, provider=openai) for name in ("small", "large")}
    router = Router.simple(small="openai:small", large="openai:large")
    assert (await Agent(RoutedModel(router, models=models)).run("Why?")).output == "Because."
    assert [c.model for c in provider.calls] == ["small", "large"]


async def test_12_bad_answers_are_fallen_back_from_in_streams_too(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("final_result", {"name": "Ada"})]))
    provider.on("large", Reply(tool_calls=[Call("final_result", {"name": "Ada", "age": 36})]))
    async with Agent(routed(), output_type=Person).run_stream("Who?") as result:
        outputs = [output async for output in result.stream_output(debounce_by=None)]
    assert outputs[-1] == Person(name="Ada", age=36)
    assert [c.model for c in provider.calls] == ["small", "large"]


async def test_13_every_tier_of_the_ladder_is_used(provider: LoopbackProvider, models: dict[str, Model]) -> None:
    openai = models["large"].provider
    assert openai is not None
    tiers = ["small", "middle", "large"]
    for name in tiers:
        provider.on(name, Reply(text=DRAFT if name != "large" else "At last."))
    fleet = Fleet([Tier(name, ModelSpec(f"openai:{name}", price=Price(1, 1))) for name in tiers])
    router = Router(fleet, strategy=Cascade(short))
    given: dict[str, Model | str] = {name: OpenAIChatModel(name, provider=openai) for name in tiers}
    result = await Agent(RoutedModel(router, models=given)).run("Why?")
    assert result.output == "At last."
    assert [c.model for c in provider.calls] == tiers
    assert [a.model_name for a in result.response.failed_attempts or []] == ["small", "middle"]
