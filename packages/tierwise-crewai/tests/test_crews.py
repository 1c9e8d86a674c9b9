"""The routed LLM in real crews, over real HTTP."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crewai import Agent, Crew, Task
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import LLMStreamChunkEvent
from crewai.hooks.dispatch import HookAborted
from crewai.tools import tool
from pydantic import BaseModel
from tierwise import Judge
from tierwise import Reply as Answer
from tierwise.errors import AllModelsFailedError, StreamBrokenError, UnknownNameError
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_crewai import RoutedLLM

Make = Callable[..., RoutedLLM]

DRAFT = "This draft is far too long to be accepted"


@tool("weather")
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


def crew_of(llm: RoutedLLM, tools: list[Any] | None = None, **options: Any) -> Any:
    agent = Agent(role="Writer", goal="Write", backstory="Knows", llm=llm, tools=tools or [], max_retry_limit=0)
    task = Task(name="write", description="Why?", expected_output="A sentence", agent=agent, **options)
    return Crew(agents=[agent], tasks=[task])


@pytest.fixture
def shown() -> Iterator[list[str]]:
    """The chunks that anyone who listens is shown."""
    seen: list[str] = []

    def chunk(source: Any, event: LLMStreamChunkEvent) -> None:
        seen.append(event.chunk)

    with crewai_event_bus.scoped_handlers():
        crewai_event_bus.on(LLMStreamChunkEvent)(chunk)
        yield seen


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call_by_the_small_tier_costs_one_call_a_step(
    provider: LoopbackProvider, routed: Make, stream: bool
) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))
    assert crew_of(routed(stream=stream), [weather]).kickoff().raw == "Rain."
    assert [c.model for c in provider.calls] == ["small", "small"]
    assert provider.calls[0].tools[0]["function"]["name"] == "weather"
    assert provider.calls[1].messages[-1]["content"] == "Rain in Oslo"


def test_the_large_tier_s_tool_call_streams(provider: LoopbackProvider, routed: Make, shown: list[str]) -> None:
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain it is."))
    assert crew_of(routed(stream=True, task={"min_tier": "large"}), [weather]).kickoff().raw == "Rain it is."
    crewai_event_bus.flush()
    assert "".join(shown) == '{"city": "Oslo"}Rain it is.'
    assert [c.stream for c in provider.calls] == [True, True]


def test_a_rejected_draft_is_not_shown_and_is_on_the_receipt(
    provider: LoopbackProvider, routed: Make, replies: list[Answer], shown: list[str]
) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    output = crew_of(routed(stream=True)).kickoff()
    crewai_event_bus.flush()
    assert output.raw == "The large answer"
    assert shown == ["The", " large", " answer"]
    [reply] = replies
    assert [(r.model, r.purpose, r.verdict) for r in reply.attempts] == [
        ("ollama:small", "draft", "reject"),
        ("openai:large", "answer", "accept"),
    ]
    assert (reply.attempts[0].role, reply.attempts[0].node) == ("Writer", "write")
    assert reply.attempts[0].session is not None
    assert [(r.usage.input_tokens, r.usage.output_tokens) for r in reply.attempts if r.usage] == [
        (c.billed_input, c.billed_output) for c in provider.calls
    ]
    assert output.token_usage.completion_tokens == provider.calls[1].billed_output


def test_a_held_answer_reaches_those_who_follow_the_stream(
    provider: LoopbackProvider, routed: Make, shown: list[str]
) -> None:
    provider.on("small", Reply(text="Because it is."))
    assert crew_of(routed(stream=True)).kickoff().raw == "Because it is."
    crewai_event_bus.flush()
    assert shown == ["Because it is."]


class Person(BaseModel):
    name: str
    age: int


def test_typed_output_by_the_small_tier_costs_one_call(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json={"name": "Ada", "age": 36}))
    assert routed().call("Who?", response_model=Person) == Person(name="Ada", age=36)
    assert provider.count() == 1


def test_typed_output_that_does_not_fit_goes_up(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json={"name": "Ada"}))
    provider.on("large", Reply(json={"name": "Ada", "age": 36}))
    assert crew_of(routed(), output_pydantic=Person).kickoff().pydantic == Person(name="Ada", age=36)
    assert {c.model for c in provider.calls} == {"small", "large"}


def test_a_failing_small_tier_falls_back(provider: LoopbackProvider, routed: Make, replies: list[Answer]) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(text="The large answer"))
    assert crew_of(routed(stream=True)).kickoff().raw == "The large answer"
    assert [r.error_type for r in replies[0].attempts] == ["UnavailableError", None]


def test_a_full_small_tier_does_not_wait(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=429, retry_after=60))
    provider.on("large", Reply(text="The large answer"))
    assert routed().call("Why?") == "The large answer"
    assert [c.model for c in provider.calls] == ["small", "large"]


def test_a_stream_never_falls_back_after_its_first_chunk(
    provider: LoopbackProvider, routed: Make, shown: list[str]
) -> None:
    provider.on("large", Reply(text="The large answer", disconnect_after=2))
    with pytest.raises(StreamBrokenError, match="after 9 characters were shown"):
        routed(stream=True, task={"min_tier": "large"}).call("Why?")
    assert provider.count() == 1


def test_all_models_failing_is_one_error(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=401))
    provider.on("large", Reply(status=401))
    with pytest.raises(AllModelsFailedError, match=r"(?s)ollama:small: Auth.*openai:large: Auth"):
        routed().call("Why?")


def test_a_hook_that_blocks_is_no_reason_to_fall_back(
    provider: LoopbackProvider, routed: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crewai.hooks import register_before_llm_call_hook, unregister_before_llm_call_hook

    def block(context: Any) -> bool:
        return False

    provider.on("small", Reply(text="Because."))
    provider.on("large", Reply(text="The large answer"))
    register_before_llm_call_hook(block)
    try:
        with pytest.raises((ValueError, HookAborted), match="block"):
            routed().call("Why?")
    finally:
        unregister_before_llm_call_hook(block)
    assert provider.count() == 0


async def test_an_early_stop_closes_the_call(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(text="one two three four", stall_after=2, gate=threading.Event()))
    call = asyncio.create_task(routed(stream=True, task={"min_tier": "large"}).acall("Count"))
    await asyncio.to_thread(provider.wait_until, lambda: any(c.billed_output == 2 for c in provider.calls))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.to_thread(provider.wait_until, lambda: provider.calls[0].client_closed)


def test_a_judge_is_a_call_of_the_framework_s_own_llm(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text="Because."))
    provider.on("large", Reply(json={"reason": "It is so.", "score": 9}))
    assert routed(verifier=Judge()).call("Why?") == "Because."
    assert [r.purpose for r in replies[0].attempts] == ["answer", "judge"]
    judged = provider.calls[1]
    assert judged.schema is not None
    assert judged.options["temperature"] == 0.0
    assert judged.options["max_tokens"] == 160


def test_a_tool_call_written_as_text_is_repaired(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json={"name": "weather", "arguments": {"city": "Oslo"}}), Reply(text="Rain."))
    assert crew_of(routed(), [weather]).kickoff().raw == "Rain."
    assert provider.calls[1].messages[-1]["content"] == "Rain in Oslo"


def test_an_unknown_model_is_refused_at_the_start(routed: Make) -> None:
    llm = routed()
    with pytest.raises(UnknownNameError, match="did you mean 'small'"):
        RoutedLLM(llm.router, models={"smal": llm})


def test_local_content_stays_on_this_machine(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=500))
    with pytest.raises(AllModelsFailedError):
        routed(task={"trust": "local"}).call("Why?")
    assert [c.model for c in provider.calls] == ["small"]
