"""The traps that other routers fell into, through real crews: each is named after what goes wrong there."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from crewai import Agent, Crew, Task
from crewai.events.stream_context import add_stream_sink, reset_stream_sinks
from crewai.tools import tool
from pydantic import BaseModel
from tierwise import Logprob, ModelSpec, Outcome, Price, Router, Single
from tierwise import Reply as Answer
from tierwise.errors import AllModelsFailedError
from tierwise.fleet import Fleet, Tier
from tierwise.policies import Complexity
from tierwise.strategies import Cascade, Sandwich
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Request
from tierwise.verifiers import free_verifier
from tierwise_crewai import RoutedLLM, receipt_of

Make = Callable[..., RoutedLLM]

DRAFT = "This draft is far too long to be accepted"


def short(outcome: Outcome) -> bool:
    return len(outcome.text) < 20


class City(BaseModel):
    name: str
    people: int


@tool("weather")
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


def crew_of(llm: Any, *, tools: list[Any] | None = None, **options: Any) -> Any:
    writer: Any = Agent(role="Writer", goal="Write", backstory="Knows", llm=llm, tools=tools or [], max_retry_limit=0)
    task = Task(name="write", description="Why?", expected_output="A sentence", agent=writer)
    return Crew(agents=[writer], tasks=[task], **options)


@contextmanager
def frames() -> Generator[list[Any]]:
    """All that CrewAI publishes of a run, as its streams of frames give it."""
    seen: list[Any] = []
    token = add_stream_sink(lambda source, event: seen.append(event))
    try:
        yield seen
    finally:
        reset_stream_sinks(token)


def test_2_a_tool_call_and_a_typed_output_of_the_small_tier_cost_one_call(
    provider: LoopbackProvider, routed: Make
) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))
    crew_of(routed(), tools=[weather]).kickoff()
    provider.on("small", Reply(json={"name": "Oslo", "people": 1}))
    routed().call("Which?", response_model=City)
    assert [c.model for c in provider.calls] == ["small"] * 3


@pytest.mark.parametrize("way", ["crew", "frames", "events"])
def test_3_no_stream_shows_a_rejected_draft(provider: LoopbackProvider, routed: Make, way: str) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    llm = routed()
    if way == "crew":
        streaming = crew_of(llm, stream=True).kickoff()
        assert [chunk.content for chunk in streaming] == ["The", " large", " answer"]
        assert streaming.result.raw == "The large answer"
        return
    with frames() as seen:
        if way == "frames":
            with llm.stream_events("Why?") as session:
                seen += list(session)
        else:
            llm.stream = True
            crew_of(llm).kickoff()
    assert len(seen) > 3
    assert not any("draft" in str(getattr(event, "__dict__", event)) for event in seen)


async def test_4_a_real_agent_streams(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain in Oslo."))
    streaming = await crew_of(routed(), tools=[weather], stream=True).akickoff()
    chunks = [chunk async for chunk in streaming]
    assert "".join(chunk.content for chunk in chunks if chunk.tool_call is None) == "Rain in Oslo."
    assert [chunk.tool_call.tool_name for chunk in chunks if chunk.tool_call is not None] == ["weather"]


def test_5_structured_output_is_there_on_the_routed_llm(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json={"name": "Oslo"}))
    provider.on("large", Reply(json={"name": "Oslo", "people": 2}))
    llm = routed()
    writer: Any = Agent(role="Writer", goal="Write", backstory="Knows", llm=llm, max_retry_limit=0)
    task = Task(description="Which?", expected_output="A city", agent=writer, output_pydantic=City)
    crew: Any = Crew(agents=[writer], tasks=[task])
    assert crew.kickoff().pydantic == City(name="Oslo", people=2)
    assert [c.model for c in provider.calls] == ["small", "large"]


def test_6_a_long_system_prompt_does_not_make_a_short_request_hard(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Hello."))
    llm = routed(policy=Complexity())
    scary = "Prove the theorem step by step, refactor the distributed architecture, analyze the trade-offs. " * 50
    llm.call([{"role": "system", "content": scary}, {"role": "user", "content": "Hi."}])
    assert [c.model for c in provider.calls] == ["small"]


async def test_7_two_providers_that_refuse_the_key_are_an_error_and_cost_nothing(
    provider: LoopbackProvider, routed: Make
) -> None:
    for model in ("small", "large"):
        provider.on(model, Reply(status=401))
    llm = routed()
    crew = crew_of(llm)
    with pytest.raises(AllModelsFailedError):
        await crew.akickoff()
    receipt = receipt_of(llm.router, crew)
    assert [row.error_type for row in receipt.rows] == ["AuthenticationError", "AuthenticationError"]
    assert receipt.cost == 0


def test_8_a_local_model_is_free_and_an_unknown_price_is_unknown(
    provider: LoopbackProvider, routed: Make, models: Any
) -> None:
    provider.on("small", Reply(text="So."))
    provider.on("large", Reply(text="So."))
    local = routed()
    assert receipt_of(local.router, crew_of(local).kickoff()).cost == 0
    router = Router(Fleet([Tier("large", "openai:large")]), strategy=Single())
    unpriced = RoutedLLM(router, models={"large": models["large"]})
    receipt = receipt_of(router, crew_of(unpriced).kickoff())
    assert (receipt.cost, receipt.unpriced) == (None, 1)


def test_9_confidence_that_is_not_there_is_not_invented(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    # CrewAI's LLMs hand on no log probabilities.
    provider.on("small", Reply(text="So."))
    provider.on("large", Reply(text="So it is."))
    assert routed(verifier=Logprob(-0.2)).call("Why?") == "So it is."
    [draft, answer] = replies[0].attempts
    assert (draft.verdict, draft.score) == ("abstain", None)
    assert answer.tier == "large"


def test_10_a_full_small_model_does_not_hold_up_the_crew(
    provider: LoopbackProvider, routed: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slept(seconds: float) -> None:
        raise AssertionError(f"slept for {seconds} s")

    monkeypatch.setattr("time.sleep", slept)
    provider.on("small", Reply(status=429, retry_after=50))
    provider.on("large", Reply(text="The large answer"))
    assert routed().call("Why?") == "The large answer"
    assert [c.model for c in provider.calls] == ["small", "large"]


def test_11_a_crew_is_routed_and_its_tokens_are_the_provider_s(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    output = crew_of(routed()).kickoff()
    assert [c.model for c in provider.calls] == ["small", "large"]
    assert output.token_usage.completion_tokens == provider.calls[1].billed_output
    usages = [row.usage for row in replies[0].attempts]
    assert [(u.input_tokens, u.output_tokens, u.estimated) for u in usages if u is not None] == [
        (c.billed_input, c.billed_output, False) for c in provider.calls
    ]


def test_12_a_bad_answer_is_fallen_back_from_in_a_stream_too(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("unknown")]))
    provider.on("large", Reply(text="The large answer"))
    streaming = crew_of(routed(), tools=[weather], stream=True).kickoff()
    assert "".join(chunk.content for chunk in streaming) == "The large answer"


def test_13_every_tier_of_the_ladder_is_used(provider: LoopbackProvider, models: Any) -> None:
    from crewai import LLM

    names = ["one", "two", "three", "four"]
    llms: Any = {n: LLM(model=f"openai/{n}", base_url=provider.openai_url, api_key="k", max_retries=0) for n in names}
    fleet = Fleet([Tier(n, ModelSpec(f"openai:{n}", price=Price(1, 1))) for n in names])
    for name in names:
        provider.on(name, Reply(text=DRAFT if name != "four" else "The last."))
    llm = RoutedLLM(Router(fleet, strategy=Cascade(free_verifier() & short)), models=llms)
    assert crew_of(llm).kickoff().raw == "The last."
    assert [c.model for c in provider.calls] == names


def test_ten_steps_between_two_dialects_are_one_conversation(provider: LoopbackProvider, models: Any) -> None:
    """Mistral takes no ids of calls but its own kind: each reads what the other began."""
    asked: list[list[dict[str, Any]]] = []

    def step(request: Request) -> Reply:
        asked.append(request.messages)
        done = len(asked)
        return Reply(text="Done.") if done > 10 else Reply(tool_calls=[Call("weather", {"city": f"City {done}"})])

    def alternating(task: Any) -> str:
        return "large" if sum(m.role == "tool" for m in task.messages) % 2 else "small"

    provider.on("small", step)
    provider.on("large", step)
    fleet = Fleet([Tier("small", "ollama:small"), Tier("large", "mistral:large")])
    router = Router(fleet, policy=alternating, strategy=Cascade(free_verifier() & short))
    output = crew_of(RoutedLLM(router, models=models), tools=[weather]).kickoff()
    assert output.raw == "Done."
    assert [c.model for c in provider.calls] == ["small", "large"] * 5 + ["small"]
    for messages in asked:
        calls = [call["id"] for m in messages for call in m.get("tool_calls") or ()]
        assert calls == [m["tool_call_id"] for m in messages if m["role"] == "tool"]
        assert len(set(calls)) == len(calls)
    ids = [call["id"] for messages in asked[1::2] for m in messages for call in m.get("tool_calls") or ()]
    assert all(re.fullmatch("[a-zA-Z0-9]{9}", call_id) for call_id in ids)
    assert [m["content"] for m in asked[-1] if m["role"] == "tool"] == [f"Rain in City {i}" for i in range(1, 11)]
    assert len(receipt_of(router, output).rows) == 11


def test_a_call_that_a_strategy_words_itself_is_in_the_target_s_dialect_too(
    provider: LoopbackProvider, models: Any
) -> None:
    finding = {"problem": "none", "holds": True}
    provider.on("small", lambda request: Reply(text="So.") if request.schema is None else Reply(json=finding))
    provider.on("large", Reply(text="So it is."))
    call = {"id": "call_of_another", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    router = Router(Fleet([Tier("small", "ollama:small"), Tier("large", "mistral:large")]), strategy=Sandwich())
    history: list[dict[str, Any]] = [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_of_another", "name": "weather", "content": "Rain"},
    ]
    assert RoutedLLM(router, models=models).call(history) == "So it is."
    [*_, asked, result, _] = provider.calls[-1].messages
    assert re.fullmatch("[a-zA-Z0-9]{9}", asked["tool_calls"][0]["id"])
    assert result["tool_call_id"] == asked["tool_calls"][0]["id"]


def test_what_only_gemini_can_read_goes_to_no_other_model(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    routed().call(
        [
            {"role": "user", "content": "Rain?"},
            {"role": "assistant", "content": None, "tool_calls": [call], "raw_tool_call_parts": [object()]},
            {"role": "tool", "tool_call_id": "c1", "name": "weather", "content": "Rain"},
        ]
    )
    [sent] = provider.calls
    assert "raw_tool_call_parts" not in sent.messages[1]
    assert sent.messages[1]["tool_calls"][0]["function"] == call["function"]


def test_a_tool_that_failed_lets_the_next_tier_try(provider: LoopbackProvider, routed: Make) -> None:
    from tierwise.policies import default_policy

    @tool("weather")
    def broken(city: str) -> str:
        """The weather of a city."""
        raise ValueError("no such city")

    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    provider.on("large", Reply(text="Nobody knows."))
    llm = routed(policy=default_policy())
    output = crew_of(llm, tools=[broken]).kickoff()
    assert [(r.tier, r.decision_rule) for r in receipt_of(llm.router, output).rows] == [
        ("small", "default"),
        ("large", "after error"),
    ]
