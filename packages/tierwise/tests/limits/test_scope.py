"""Budgets that hold within a `with` block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, cast

from tierwise import Budget, Fleet, ModelSpec, Price, Router, Single, Task, Tier, Usage, Vote
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import BudgetExceededError
from tierwise.limits import Amount
from tierwise.limits.enclosing import enclosing
from tierwise.state import MemoryState
from tierwise.strategies import Strategy
from tierwise.testing import ScriptedBackend

from ..driving import Driver, every_driver, nothing_is_held

FLEET = Fleet([Tier("only", ModelSpec("x:m", price=Price(1, 10)))])
PROMPT = Task("q" * 399)
ONCE = Decimal("0.0006")


def router(strategy: Strategy | None = None, **options: Any) -> Router:
    answer = Outcome(cast("Attempt", None), text="good", usage=Usage(100, 50))
    return Router(FLEET, strategy=strategy or Single(), backends={"x": ScriptedBackend({"*": answer})}, **options)


@every_driver
def test_each_call_counts_against_every_block_that_encloses_it(drive: Driver) -> None:
    made = router()
    with made.budget(usd=1) as outer:
        drive(made, PROMPT)
        with made.budget(usd=1, tokens=1_000) as inner:
            drive(made, PROMPT)
        drive(made, PROMPT)
    drive(made, PROMPT)
    assert (outer.spent.usd, inner.spent) == (3 * ONCE, Amount(ONCE, 150))
    assert inner.remaining == Amount(1 - ONCE, 850)
    assert inner.reserved == Amount(Decimal(0), 0)
    assert nothing_is_held(made)


@every_driver
def test_the_tightest_block_refuses(drive: Driver) -> None:
    made = router()
    with made.budget(usd=1, name="outer"), made.budget(usd="0.0001", name="inner"):
        got = drive(made, PROMPT)
    assert isinstance(got.error, BudgetExceededError)
    assert got.error.limit == "inner"
    with made.budget(usd="0.0001", name="outer"), made.budget(usd=1, name="inner"):
        got = drive(made, PROMPT)
    assert isinstance(got.error, BudgetExceededError)
    assert got.error.limit == "outer"


def test_two_blocks_of_one_name_have_accounts_of_their_own() -> None:
    made = router()
    for _ in range(2):
        with made.budget(usd=1, name="step") as budget:
            made.run(PROMPT)
        assert budget.spent.usd == ONCE


def test_calls_side_by_side_in_one_run_count() -> None:
    made = router(strategy=Vote([Single(), "only", "x:m"]))
    with made.budget(usd=1) as budget:
        made.run(PROMPT)
    assert budget.spent.usd == 3 * ONCE


async def test_tasks_that_begin_in_the_block_count() -> None:
    made = router()
    async with asyncio.TaskGroup() as group:
        with made.budget(usd=1) as budget:
            for _ in range(3):
                group.create_task(made.arun(PROMPT))
        group.create_task(made.arun(PROMPT))
    assert (await budget.aspending()).spent.usd == 3 * ONCE


def test_a_worker_thread_enters_the_budget_itself() -> None:
    made = router()

    def work(_: int) -> None:
        with budget:
            made.run(PROMPT)

    with ThreadPoolExecutor(4) as pool, made.budget(usd=1) as budget:
        list(pool.map(work, range(8)))
        with budget:
            made.run(PROMPT)
        made.run(PROMPT)
    assert budget.spent.usd == 10 * ONCE
    assert enclosing(made.state) == ()


def test_a_thread_without_the_budget_does_not_count() -> None:
    made = router()
    with made.budget(usd=1) as budget:
        thread = threading.Thread(target=lambda: made.run(PROMPT))
        thread.start()
        thread.join()
    assert budget.spent.usd == 0


def test_a_stream_counts_where_it_was_opened_wherever_it_is_read() -> None:
    made = router()
    with made.budget(usd=1) as budget:
        opened = made.stream(PROMPT)
        stream = opened.__enter__()
    assert "".join(chunk.text for chunk in stream) == "good"
    opened.__exit__(None, None, None)
    assert budget.spent.usd == ONCE


def test_a_generator_may_hold_a_block_across_its_yields() -> None:
    made = router()

    def steps() -> Generator[Decimal | None]:
        with made.budget(usd=1) as budget:
            for _ in range(2):
                made.run(PROMPT)
                yield budget.spent.usd

    assert list(steps()) == [ONCE, 2 * ONCE]
    left = steps()
    next(left)
    thread = threading.Thread(target=left.close)
    thread.start()
    thread.join()


async def test_an_async_generator_may_be_closed_from_another_task() -> None:
    made = router()

    async def steps() -> AsyncGenerator[Decimal | None]:
        with made.budget(usd=1) as budget:
            while True:
                await made.arun(PROMPT)
                yield budget.spent.usd

    begun = steps()

    async def first() -> Decimal | None:
        return await anext(begun)

    assert await asyncio.create_task(first()) == ONCE
    await begun.aclose()
    assert enclosing(made.state) == ()


def test_routers_that_share_a_state_share_the_block_and_others_do_not() -> None:
    state = MemoryState()
    one, two, other = router(state=state), router(state=state), router()
    with one.budget(usd=1) as budget:
        two.run(PROMPT)
        one.using(ScriptedBackend({"*": "good"})).run(PROMPT, max_output_tokens=10)
        other.run(PROMPT)
    assert ONCE < (budget.spent.usd or 0) < 2 * ONCE


def test_a_block_holds_beside_the_routers_own_limits() -> None:
    daily = Budget(usd=1, per="day")
    made = router(limits=[daily])
    with made.budget(usd=1) as budget:
        made.run(PROMPT)
    made.run(PROMPT)
    assert (budget.spent.usd, made.spending(daily).spent.usd) == (ONCE, 2 * ONCE)
