"""Budgets around a kickoff: what its calls take, and what the user sees when nothing is left."""

from __future__ import annotations

from typing import Any

import pytest
from crewai import Agent, BaseLLM, Crew, Task
from crewai.tools import tool
from tierwise import Always, Budget, Fleet, ModelSpec, Price, Router, Single, Tier
from tierwise.errors import BudgetExceededError
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Usage
from tierwise_crewai import RoutedLLM, receipt_of


@tool("weather")
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


def router(**options: Any) -> Router:
    fleet = Fleet([Tier("large", [ModelSpec("openai:large", price=Price(2, 8))])])
    return Router(fleet, policy=Always("large"), strategy=Single(), **options)


def crew(router: Router, models: dict[str, BaseLLM], *, threaded: bool = False, **fields: Any) -> Any:
    llm = RoutedLLM(router, models={"large": models["large"]}, max_tokens=20)
    writer = Agent(role="Writer", goal="Write", backstory="Knows", llm=llm, tools=[weather], max_retry_limit=0)
    task = Task(description="Why?", expected_output="A sentence", agent=writer, async_execution=threaded)
    return Crew(agents=[writer], tasks=[task], **fields)


@pytest.fixture
def live(provider: LoopbackProvider) -> LoopbackProvider:
    called = Reply(tool_calls=[Call("weather", {"city": "Oslo"})], usage=Usage(input=900, output=50))
    provider.on("large", called, Reply(text="It rains."))
    return provider


@pytest.mark.parametrize("threaded", [False, True])
def test_a_block_s_budget_counts_every_call(live: LoopbackProvider, models: Any, threaded: bool) -> None:
    routing = router()
    with routing.budget(usd=5) as budget:
        output = crew(routing, models, threaded=threaded).kickoff()
    assert live.count() == 2
    assert budget.spent.usd == receipt_of(routing, output).cost != 0


async def test_it_counts_those_of_an_async_kickoff(live: LoopbackProvider, models: Any) -> None:
    routing = router()
    with routing.budget(usd=5) as budget:
        output = await crew(routing, models).akickoff()
    assert live.count() == 2
    assert (await budget.aspending()).spent.usd == receipt_of(routing, output).cost != 0


async def test_it_counts_those_of_a_kickoff_in_a_thread(live: LoopbackProvider, models: Any) -> None:
    routing = router()
    with routing.budget(usd=5) as budget:
        output = await crew(routing, models).kickoff_async()
    assert live.count() == 2
    assert (await budget.aspending()).spent.usd == receipt_of(routing, output).cost != 0


def test_it_counts_those_of_a_streamed_kickoff(live: LoopbackProvider, models: Any) -> None:
    routing = router()
    with routing.budget(usd=5) as budget:
        streaming = crew(routing, models, stream=True).kickoff()
        list(streaming)
    assert live.count() == 2
    assert budget.spent.usd == receipt_of(routing, streaming.result).cost != 0


def test_a_budget_that_ends_a_kickoff_is_the_error_that_the_user_sees(live: LoopbackProvider, models: Any) -> None:
    routing = router(limits=[Budget(tokens=1_000, name="trial")])
    made = crew(routing, models)
    with pytest.raises(BudgetExceededError, match=r"^trial: 950 tokens spent and .* of 1,000 tokens") as caught:
        made.kickoff()
    assert live.count() == 1
    assert [row.error_type for row in receipt_of(routing, caught.value).rows] == ["BudgetExceededError"]
    assert [row.error_type for row in receipt_of(routing, made).rows] == [None, "BudgetExceededError"]
