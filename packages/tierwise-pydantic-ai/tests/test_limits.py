"""Budgets around an agent's run: what its requests take, and what the user sees when nothing is left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_ai import Agent, capture_run_messages
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from tierwise import Always, Budget, Fleet, ModelSpec, Price, Router, Single, Tier
from tierwise.errors import BudgetExceededError
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Usage
from tierwise_pydantic_ai import RoutedModel, receipt_of


def router(**options: Any) -> Router:
    fleet = Fleet([Tier("large", [ModelSpec("openai:large", price=Price(2, 8))])])
    return Router(fleet, policy=Always("large"), strategy=Single(), **options)


def agent(router: Router, models: dict[str, Model]) -> Agent[None, str]:
    made = Agent(RoutedModel(router, models={"large": models["large"]}, task={"max_output_tokens": 20}))

    @made.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"Rain in {city}"

    return made


@pytest.fixture
def live(provider: LoopbackProvider) -> LoopbackProvider:
    called = Reply(tool_calls=[Call("weather", {"city": "Oslo"})], usage=Usage(input=900, output=50))
    provider.on("large", called, Reply(text="It rains."))
    return provider


async def test_a_block_s_budget_counts_every_request(live: LoopbackProvider, models: dict[str, Model]) -> None:
    routing = router()
    with routing.budget(usd=5) as budget:
        result = await agent(routing, models).run("How is it in Oslo?")
    assert live.count() == 2
    assert (await budget.aspending()).spent.usd == receipt_of(routing, result).cost != 0


async def test_it_counts_those_of_a_streamed_run(live: LoopbackProvider, models: dict[str, Model]) -> None:
    routing = router()
    with routing.budget(usd=5) as budget:
        async with agent(routing, models).run_stream("How is it in Oslo?") as result:
            await result.get_output()
    assert live.count() == 2
    assert (await budget.aspending()).spent.usd == receipt_of(routing, result).cost != 0


def test_it_counts_those_of_a_sync_run(live: LoopbackProvider) -> None:
    model = OpenAIChatModel("large", provider=OpenAIProvider(base_url=live.openai_url, api_key="key"))
    routing = router()
    with routing.budget(usd=5) as budget, asyncio.Runner() as runner:
        result = runner.run(agent(routing, {"large": model}).run("How is it in Oslo?"))
    assert live.count() == 2
    assert budget.spent.usd == receipt_of(routing, result).cost != 0


async def test_a_run_that_ran_out_says_so_and_goes_on_where_it_was(
    live: LoopbackProvider, models: dict[str, Model]
) -> None:
    routing = router(limits=[Budget(tokens=1_000, per="run", name="trial"), Budget(tokens=1_000, name="all")])
    with capture_run_messages() as messages, pytest.raises(BudgetExceededError, match=r"^all: 950 tokens") as caught:
        await agent(routing, models).run("How is it in Oslo?")
    assert live.count() == 1
    assert [row.error_type for row in receipt_of(routing, caught.value).rows] == ["BudgetExceededError"]
    assert len(receipt_of(routing, messages).rows) == 1
    result = await agent(router(), models).run(message_history=messages)
    assert result.output == "It rains."
    assert live.count() == 2
