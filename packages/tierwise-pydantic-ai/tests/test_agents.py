"""The routed model in real agents, over real HTTP."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, NativeOutput, ToolOutput
from pydantic_ai.messages import ModelResponse, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta, ToolCallPart
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from tierwise import Judge
from tierwise import Reply as Answer
from tierwise.attempt import GateAnswer, Prefix
from tierwise.errors import AllModelsFailedError, RejectedError, StreamBrokenError, UnknownNameError
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_pydantic_ai import RoutedModel

Make = Callable[..., RoutedModel]

DRAFT = "This draft is far too long to be accepted"


def weather_agent(model: RoutedModel, **options: Any) -> Agent[None, Any]:
    agent: Agent[None, Any] = Agent(model, **options)

    def weather(city: str) -> str:
        """The weather of a city."""
        return f"Rain in {city}"

    agent.tool_plain(weather)
    return agent


def call_weather(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))


def calls_only(prefix: Prefix) -> GateAnswer:
    return "commit" if prefix.tool_calls else "undecided"


def at_once(prefix: Prefix) -> GateAnswer:
    return "commit"


async def texts(agent: Agent[None, Any], prompt: str = "Why?") -> list[str]:
    """The texts that a streamed run shows, in pieces."""
    seen: list[str] = []
    async with agent.run_stream_events(prompt) as events:
        async for event in events:
            if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
                seen.append(event.part.content)
            elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
                seen.append(event.delta.content_delta)
    return seen


async def test_a_tool_call_by_the_small_tier_costs_one_call_a_step(provider: LoopbackProvider, routed: Make) -> None:
    call_weather(provider)
    result = await weather_agent(routed()).run("The weather in Oslo?")
    assert result.output == "Rain."
    assert [c.model for c in provider.calls] == ["small", "small"]
    assert provider.calls[1].messages[-1]["content"] == "Rain in Oslo"


@pytest.mark.parametrize("gate", [None, calls_only])
async def test_a_streamed_tool_call_costs_one_call_a_step(provider: LoopbackProvider, routed: Make, gate: Any) -> None:
    call_weather(provider)
    async with weather_agent(routed(gate=gate)).run_stream("The weather in Oslo?") as result:
        assert "".join([t async for t in result.stream_text(delta=True, debounce_by=None)]) == "Rain."
    called = [p for m in result.all_messages() for p in m.parts if isinstance(p, ToolCallPart)]
    assert [(c.tool_name, c.args_as_dict()) for c in called] == [("weather", {"city": "Oslo"})]
    assert [c.stream for c in provider.calls] == [gate is not None] * 2


async def test_a_live_answer_streams_once_and_in_pieces(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain it is."))
    agent = weather_agent(routed(task={"min_tier": "large"}))
    async with agent.run_stream("The weather in Oslo?") as result:
        pieces = [t async for t in result.stream_text(delta=True, debounce_by=None)]
    assert len(pieces) > 1
    assert "".join(pieces) == await result.get_output() == "Rain it is."
    assert result.response.state == "complete"
    assert result.response.usage.output_tokens == provider.calls[1].billed_output
    assert [r.tier for r in replies] == ["large", "large"]


async def test_a_rejected_draft_is_shown_in_no_stream(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    assert await texts(Agent(routed())) == ["The", " large", " answer"]
    async with Agent(routed()).run_stream("Why?") as result:
        snapshots = [t async for t in result.stream_text(debounce_by=None)]
    assert snapshots[-1] == "The large answer"
    assert DRAFT not in "".join(snapshots)
    assert [(r.model, r.purpose, r.verdict) for r in replies[-1].attempts] == [
        ("ollama:small", "draft", "reject"),
        ("openai:large", "answer", "accept"),
    ]


async def test_usage_is_the_accepted_call_s_and_the_draft_a_failed_attempt(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    result = await Agent(routed()).run("Why?")
    response = result.response
    assert response.usage.output_tokens == provider.calls[1].billed_output
    assert response.failed_attempts is not None
    [draft] = response.failed_attempts
    assert (draft.model_name, draft.outcome) == ("small", "rejected")
    assert draft.usage is not None
    assert draft.usage.output_tokens == provider.calls[0].billed_output
    assert response.metadata is not None
    assert response.metadata["tierwise"]["cost"] == str(replies[0].cost)
    assert response.model_name == "large"


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize("streamed", [False, True])
async def test_typed_output_by_a_tool_costs_one_call(provider: LoopbackProvider, routed: Make, streamed: bool) -> None:
    provider.on("small", Reply(tool_calls=[Call("final_result", {"name": "Ada", "age": 36})]))
    agent = weather_agent(routed(), output_type=Person)
    if streamed:
        async with agent.run_stream("Who?") as result:
            output = await result.get_output()
    else:
        output = (await agent.run("Who?")).output
    assert output == Person(name="Ada", age=36)
    assert provider.count() == 1


@pytest.mark.parametrize("output_type", [Person, ToolOutput(Person, name="final_result")])
async def test_text_where_a_typed_output_is_asked_for_goes_up(
    provider: LoopbackProvider, routed: Make, output_type: Any
) -> None:
    provider.on("small", Reply(text="Ada."))
    provider.on("large", Reply(tool_calls=[Call("final_result", {"name": "Ada", "age": 36})]))
    assert (await Agent(routed(), output_type=output_type).run("Who?")).output.age == 36
    assert [c.model for c in provider.calls] == ["small", "large"]


async def test_native_output_that_does_not_fit_goes_up(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json={"name": "Ada"}))
    provider.on("large", Reply(json={"name": "Ada", "age": 36}))
    result = await Agent(routed(), output_type=NativeOutput(Person)).run("Who?")
    assert result.output == Person(name="Ada", age=36)
    assert [c.model for c in provider.calls] == ["small", "large"]


async def test_the_agent_s_own_retry_follows_where_no_tier_s_output_fits(
    provider: LoopbackProvider, routed: Make
) -> None:
    bad, good = Call("final_result", {"name": "Ada"}), Call("final_result", {"name": "Ada", "age": 36})
    provider.on("small", Reply(tool_calls=[bad]))
    provider.on("large", Reply(tool_calls=[bad]), Reply(tool_calls=[good]))
    assert (await Agent(routed(), output_type=Person).run("Who?")).output.age == 36
    assert [c.model for c in provider.calls] == ["small", "large", "large"]


async def test_a_text_that_fits_on_no_tier_is_an_error_with_all_attempts(
    provider: LoopbackProvider, routed: Make
) -> None:
    provider.on("small", Reply(json={"name": "Ada"}))
    provider.on("large", Reply(json={"name": "Ada"}))
    with pytest.raises(RejectedError, match="'age' is a required property") as rejected:
        await Agent(routed(), output_type=NativeOutput(Person)).run("Who?")
    assert [row.model for row in rejected.value.attempts] == ["ollama:small", "openai:large"]


async def test_a_validation_retry_starts_a_tier_higher(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(tool_calls=[Call("final_result", {"name": "Ada", "age": 36})]))
    provider.on("large", Reply(tool_calls=[Call("final_result", {"name": "Ada", "age": 37})]))
    agent: Agent[None, Any] = Agent(routed(), output_type=Person)

    def birthday(person: Person) -> Person:
        if person.age == 36:
            raise ModelRetry("she had her birthday")
        return person

    agent.output_validator(birthday)
    assert (await agent.run("Who?")).output.age == 37
    assert [r.decision.rule for r in replies] == ["default", "after error"]


async def test_a_failing_small_tier_falls_back(provider: LoopbackProvider, routed: Make, replies: list[Answer]) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(text="The large answer"))
    result = await Agent(routed()).run("Why?")
    assert result.output == "The large answer"
    assert replies[0].attempts[0].error_type == "UnavailableError"
    assert [a.outcome for a in result.response.failed_attempts or []] == ["error"]


async def test_a_stream_falls_back_before_its_first_chunk(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Why not?", disconnect_after=0), Reply(status=500))
    provider.on("large", Reply(text="The large answer"))
    agent = Agent(routed(gate=at_once))
    assert await texts(agent) == await texts(agent) == ["The", " large", " answer"]


async def test_a_stream_never_falls_back_after_its_first_chunk(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(text="The large answer", disconnect_after=2))
    with pytest.raises(StreamBrokenError, match="after 9 characters were shown"):
        await texts(Agent(routed(task={"min_tier": "large"})))
    assert provider.count() == 1


async def test_all_models_failing_reaches_a_fallback_model(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=401))
    provider.on("large", Reply(status=401))
    with pytest.raises(AllModelsFailedError, match=r"(?s)ollama:small: Auth.*openai:large: Auth"):
        await texts(Agent(routed()))
    rescue = FallbackModel(routed(), TestModel(custom_output_text="rescued"), fallback_on=AllModelsFailedError)
    assert "".join(await texts(Agent(rescue))) == "rescued"


@pytest.mark.parametrize("how", ["leave", "cancel"])
async def test_an_early_stop_closes_the_call(provider: LoopbackProvider, routed: Make, how: str) -> None:
    provider.on("large", Reply(text="one two three four", stall_after=2, gate=threading.Event()))
    async with Agent(routed(task={"min_tier": "large"})).run_stream("Count") as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            break
        if how == "cancel":
            await result.cancel()
    await asyncio.to_thread(provider.wait_until, lambda: provider.calls[0].client_closed)
    if how == "cancel":
        last = result.all_messages()[-1]
        assert isinstance(last, ModelResponse)
        assert last.state == "interrupted"


async def test_a_judge_is_a_request_to_the_framework_s_own_model(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text="Because."))
    provider.on("large", Reply(json={"reason": "It is so.", "score": 9}))
    assert (await Agent(routed(verifier=Judge())).run("Why?")).output == "Because."
    assert [r.purpose for r in replies[0].attempts] == ["answer", "judge"]
    judged = provider.calls[1]
    assert judged.schema is not None
    assert judged.options["temperature"] == 0.0
    assert judged.options["max_completion_tokens"] == 160


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_a_tool_call_written_as_text_is_repaired(provider: LoopbackProvider, routed: Make, tier: str) -> None:
    provider.on(tier, Reply(json={"name": "weather", "arguments": {"city": "Oslo"}}), Reply(text="Rain."))
    agent = weather_agent(routed(task={"min_tier": tier}))
    assert (await agent.run("The weather in Oslo?")).output == "Rain."
    provider.on(tier, Reply(json={"name": "weather", "arguments": {"city": "Oslo"}}), Reply(text="Rain."))
    assert "".join(await texts(agent)) == "Rain."
    assert provider.count() == 4


def test_an_unknown_model_is_refused_at_the_start(routed: Make) -> None:
    model = routed()
    with pytest.raises(UnknownNameError, match="did you mean 'small'"):
        RoutedModel(model._router, models={"smal": TestModel()})


async def test_local_content_stays_on_this_machine(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=500))
    with pytest.raises(AllModelsFailedError):
        await Agent(routed(task={"trust": "local"})).run("Why?")
    assert [c.model for c in provider.calls] == ["small"]
