# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false
"""Budgets around an agent's run: what its steps take, and what the user sees when nothing is left."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from tierwise import Always, Budget, Fleet, ModelSpec, Price, Router, Single, Tier
from tierwise.errors import BudgetExceededError
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Usage
from tierwise_langgraph import TierwiseMiddleware, receipt_of

THREAD: Any = {"configurable": {"thread_id": "t1"}}
ASK: Any = {"messages": [("user", "How is it in Oslo?")]}


def weather(city: str) -> str:
    """The weather in a city."""
    return f"Rain in {city}."


def router(**options: Any) -> Router:
    fleet = Fleet([Tier("large", [ModelSpec("openai:large", price=Price(2, 8))])])
    return Router(fleet, policy=Always("large"), strategy=Single(), **options)


def agent(router: Router, models: Any, **options: Any) -> Any:
    routing = TierwiseMiddleware(router, models={"large": models["large"]}, task={"max_output_tokens": 20})
    return create_agent(models["large"], [weather], middleware=[routing], **options)


@pytest.fixture
def live(provider: LoopbackProvider) -> LoopbackProvider:
    called = Reply(tool_calls=[Call("weather", {"city": "Oslo"})], usage=Usage(input=900, output=50))
    provider.on("large", called, Reply(text="It rains."))
    return provider


def test_a_block_s_budget_counts_every_step(live: LoopbackProvider, models: Any) -> None:
    routing = router()
    with routing.budget(usd=5) as budget:
        state = agent(routing, models).invoke(ASK)
    assert live.count() == 2
    assert budget.spent.usd == receipt_of(routing, state).cost != 0


async def test_it_counts_those_of_a_streamed_async_run(live: LoopbackProvider, models: Any) -> None:
    routing = router()
    with routing.budget(usd=5) as budget:
        states = [s async for s in agent(routing, models).astream(ASK, stream_mode="values")]
    assert live.count() == 2
    assert (await budget.aspending()).spent.usd == receipt_of(routing, states[-1]).cost != 0


def test_a_budget_that_ends_a_run_is_the_error_that_the_user_sees(live: LoopbackProvider, models: Any) -> None:
    routing = router(limits=[Budget(tokens=1, name="trial")])
    with pytest.raises(BudgetExceededError, match=r"^trial: 0 tokens spent and .* of 1 tokens;") as caught:
        agent(routing, models).invoke(ASK)
    assert live.count() == 0
    assert [row.error_type for row in receipt_of(routing, caught.value).rows] == ["BudgetExceededError"]


def test_an_agent_that_ran_out_goes_on_where_it_was(live: LoopbackProvider, models: Any) -> None:
    routing = router()
    made = agent(routing, models, checkpointer=InMemorySaver())
    with routing.budget(tokens=1_000), pytest.raises(BudgetExceededError):
        made.invoke(ASK, THREAD)
    kept = made.get_state(THREAD)
    assert [m.type for m in kept.values["messages"]] == ["human", "ai", "tool"]
    assert len(receipt_of(routing, kept).rows) == live.count() == 1
    state = made.invoke(None, THREAD)
    assert state["messages"][-1].text == "It rains."
    assert len(receipt_of(routing, state).rows) == live.count() == 2
