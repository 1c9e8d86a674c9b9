"""Budgets through the router: what is set aside, what is charged, what becomes of a run that has no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

import pytest
from tierwise import FREE, Always, Budget, Cascade, Fleet, Judge, ModelSpec, Price, Router, Single, Task, Tier, Usage
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import (
    AllModelsFailedError,
    BudgetExceededError,
    ConfigError,
    DeadlineError,
    RunError,
    UnavailableError,
)
from tierwise.fleet.pricing import Pricing
from tierwise.limits import Amount, Call
from tierwise.state import MemoryState, Spend
from tierwise.testing import HANG, ScriptedBackend, Stream

from ..driving import Driver, every_driver, nothing_is_held, sure, until

FLEET = Fleet(
    [
        Tier("small", ModelSpec("x:small", price=Price(1, 10))),
        Tier("large", ModelSpec("x:large", price=Price(100, 1_000))),
    ]
)
PROMPT = Task("q" * 399)
"""About 100 tokens: $0.0001 for the small model, $0.01 for the large one."""


def answer(text: str, tokens_out: int, tokens_in: int = 100) -> Outcome:
    return Outcome(cast("Attempt", None), text=text, usage=Usage(tokens_in, tokens_out))


def router(script: Any, *limits: Budget, fleet: Fleet = FLEET, **options: Any) -> Router:
    options.setdefault("strategy", Single())
    backend = script if isinstance(script, ScriptedBackend) else ScriptedBackend({"*": script})
    return Router(fleet, backends={"x": backend}, limits=limits, **options)


def spent(made: Router, budget: Budget, **account: Any) -> Decimal | None:
    spending = made.spending(budget, **account)
    assert spending.reserved in (Amount(Decimal(0)), Amount(Decimal(0), 0), Amount(tokens=0))
    return spending.spent.usd


@every_driver
def test_a_call_is_charged_what_it_took(drive: Driver) -> None:
    budget = Budget(usd=1, tokens=5_000)
    made = router(answer("good", 50), budget)
    got = drive(made, PROMPT)
    assert got.rows[0].cost == Decimal("0.0006")
    spending = made.spending(budget)
    assert spending.spent == Amount(Decimal("0.0006"), 150)
    assert spending.remaining == Amount(Decimal("0.9994"), 4_850)
    assert nothing_is_held(made)


@pytest.mark.parametrize(
    ("budget", "task", "cap"),
    [
        (Budget(usd="0.0011"), PROMPT, 100),
        (Budget(usd=1), PROMPT, 4_096),
        (Budget(tokens=1_100), PROMPT, 1_000),
        (Budget(usd="0.0011", tokens=150), PROMPT, None),
        (Budget(usd=1, tokens=180), PROMPT, 80),
        (Budget(usd=1), Task("q", max_output_tokens=7), 7),
        (Budget(usd="0.0011"), Task("q" * 399, max_output_tokens=101), None),
    ],
)
def test_an_answer_that_nothing_bounds_is_bounded_by_what_the_budget_can_pay(
    budget: Budget, task: Task, cap: int | None
) -> None:
    backend = ScriptedBackend({"*": answer("good", 5)})
    made = router(backend, budget)
    if cap is None:
        with pytest.raises(BudgetExceededError):
            made.run(task)
        assert backend.attempts == []
    else:
        made.run(task)
        assert backend.attempts[0].setting("max_output_tokens") == cap


@every_driver
def test_without_a_budget_no_bound_is_sent(drive: Driver) -> None:
    backend = ScriptedBackend({"*": "good"})
    drive(router(backend), PROMPT)
    assert backend.attempts[0].setting("max_output_tokens") is None


# Exhaustion.


@every_driver
def test_the_run_stops_and_says_what_was_spent(drive: Driver) -> None:
    backend = ScriptedBackend({"*": answer("good", 50)})
    budget = Budget(usd="0.0015", name="mine")
    made = router(backend, budget)
    drive(made, PROMPT)
    got = drive(made, Task("q" * 399, max_output_tokens=100))
    error = got.error
    assert isinstance(error, BudgetExceededError)
    assert isinstance(error, RunError)
    assert (error.limit, error.unit, error.allowed) == ("mine", "usd", Decimal("0.0015"))
    assert (error.spent, error.reserved, error.value) == (Decimal("0.0006"), 0, Decimal("0.0017"))
    assert "$0.0006 spent and $0 set aside, of $0.0015; a call to x:small needs $0.0011: raise the cap" in str(error)
    assert backend.asked == ["x:small"]
    assert [(row.state, row.cost) for row in error.attempts] == [("refused", 0)]


@every_driver
def test_the_best_draft_that_nothing_rejected_is_in_the_error(drive: Driver) -> None:
    backend = ScriptedBackend({"small": answer("hm, maybe", 50), "large": "good"})
    got = drive(router(backend, Budget(usd="0.005"), strategy=Cascade(sure)), PROMPT)
    assert isinstance(got.error, BudgetExceededError)
    assert got.error.outcome is not None
    assert (got.error.outcome.text, backend.asked) == ("hm, maybe", ["x:small"])
    assert [row.state for row in got.error.attempts] == ["settled", "refused"]
    backend = ScriptedBackend({"small": answer("bad", 50), "large": "good"})
    got = drive(router(backend, Budget(usd="0.005"), strategy=Cascade(sure)), PROMPT)
    assert isinstance(got.error, BudgetExceededError)
    assert got.error.outcome is None


@every_driver
def test_a_judge_that_is_refused_abstains(drive: Driver) -> None:
    backend = ScriptedBackend({"small": answer("maybe", 50), "large": "good"})
    strategy = Cascade(Judge("large"), on_unverified="accept")
    got = drive(router(backend, Budget(usd="0.005"), strategy=strategy), PROMPT)
    assert got.answer is not None
    assert (got.answer[0], got.answer[2]) == ("maybe", "unverified")
    assert backend.asked == ["x:small"]


@every_driver
def test_downgrade_goes_down_to_a_tier_that_still_fits(drive: Driver) -> None:
    backend = ScriptedBackend({"*": answer("good", 50)})
    budget = Budget(usd="0.005", on_exhausted="downgrade")
    got = drive(router(backend, budget, policy=Always("large")), PROMPT)
    assert got.answer is not None
    assert got.answer[3] == "small"
    assert [(row.tier, row.state) for row in got.rows] == [("large", "refused"), ("small", "settled")]
    assert got.rows[1].reason.startswith("downgrade: total budget: $0 spent and $0 set aside, of $0.005")


@every_driver
def test_downgrade_stays_above_the_tasks_lowest_tier_and_returns_a_draft_that_there_is(drive: Driver) -> None:
    backend = ScriptedBackend({"*": answer("hm", 50)})
    budget = Budget(usd="0.005", on_exhausted="downgrade")
    got = drive(router(backend, budget), Task("q" * 399, min_tier="large"))
    assert isinstance(got.error, AllModelsFailedError)
    assert isinstance(got.error.outcomes[0].error, BudgetExceededError)
    got = drive(router(backend, budget, strategy=Cascade(sure)), PROMPT)
    assert got.answer is not None
    assert (got.answer[0], got.answer[2]) == ("hm", "unverified")


@every_driver
def test_a_function_may_raise_the_cap(drive: Driver) -> None:
    asked: list[BudgetExceededError] = []

    def ask(error: BudgetExceededError) -> Decimal | None:
        asked.append(error)
        return Decimal("0.002") if len(asked) == 1 else None

    budget = Budget(usd="0.0005", on_exhausted=ask)
    made = router(answer("good", 50), budget)
    assert drive(made, PROMPT).answer is not None
    assert made.spending(budget).cap.usd == Decimal("0.002")
    for _ in range(2):
        assert drive(made, PROMPT).answer is not None
    got = drive(made, PROMPT)
    assert isinstance(got.error, BudgetExceededError)
    assert [error.allowed for error in asked] == [Decimal("0.0005"), Decimal("0.002")]


async def test_the_function_may_be_a_coroutine_function_in_async_runs_only() -> None:
    async def ask(error: BudgetExceededError) -> float:
        await asyncio.sleep(0)
        return 1.0

    made = router(answer("good", 50), Budget(usd="0.0005", on_exhausted=ask))
    assert (await made.arun(PROMPT)).text == "good"
    made = router(answer("good", 50), Budget(usd="0.0005", on_exhausted=ask))
    with pytest.raises(ConfigError, match="use `arun` or `astream`"):
        made.run(PROMPT)


async def test_a_person_who_does_not_answer_holds_a_run_up_no_longer_than_its_deadline() -> None:
    async def ask(error: BudgetExceededError) -> None:
        await asyncio.Event().wait()

    state = MemoryState()
    made = router(answer("good", 50), Budget(usd="0.0005", on_exhausted=ask), state=state)
    with pytest.raises(DeadlineError):
        await made.arun(PROMPT, deadline=0.01)
    assert state.held == 0


def test_an_answer_that_comes_after_the_deadline_raises_nothing() -> None:
    def ask(error: BudgetExceededError) -> float:
        time.sleep(0.02)
        return 1.0

    budget = Budget(usd="0.0005", on_exhausted=ask)
    made = router(answer("good", 50), budget)
    with pytest.raises(DeadlineError):
        made.run(PROMPT, deadline=0.01)
    assert made.spending(budget).cap.usd == Decimal("0.0005")


async def test_a_function_that_times_out_by_itself_is_an_error_of_its_own() -> None:
    async def ask(error: BudgetExceededError) -> None:
        raise TimeoutError("nobody is there")

    made = router(answer("good", 50), Budget(usd="0.0005", on_exhausted=ask))
    with pytest.raises(TimeoutError, match="nobody is there"):
        await made.arun(PROMPT, deadline=60)


def test_an_answer_that_raises_nothing_is_a_refusal() -> None:
    made = router(answer("good", 50), Budget(usd="0.0005", on_exhausted=lambda error: error.allowed))
    with pytest.raises(BudgetExceededError):
        made.run(PROMPT)


# Prices.

UNPRICED = Fleet([Tier("a", ModelSpec("x:a")), Tier("b", ModelSpec("x:b", price=FREE))])


@every_driver
def test_a_model_without_a_price_is_refused_and_the_mend_is_named(drive: Driver) -> None:
    backend = ScriptedBackend({"*": answer("good", 50)})
    got = drive(router(backend, Budget(usd=1), fleet=UNPRICED), PROMPT)
    assert got.rows[0].error is not None
    assert "the price of x:a is not known" in got.rows[0].error
    assert "ModelSpec('x:a', price=Price(3, 15))" in got.rows[0].error
    assert backend.asked == ["x:b"]


@pytest.mark.parametrize("estimate", [Price(1, 10), {"x:a": Price(1, 10)}])
def test_a_configured_estimate_stands_in_for_a_price(estimate: Price | Mapping[str, Price]) -> None:
    budget = Budget(usd=1, estimate=estimate)
    made = router(answer("good", 50), budget, fleet=UNPRICED)
    reply = made.run(PROMPT)
    assert (reply.cost, reply.model) == (None, "x:a")
    assert spent(made, budget) == Decimal("0.0006")


def test_a_budget_in_tokens_needs_no_price() -> None:
    budget = Budget(tokens=1_000)
    made = router(answer("good", 50), budget, fleet=UNPRICED)
    made.run(PROMPT)
    assert made.spending(budget).spent.tokens == 150


def test_a_call_that_no_account_counts_needs_no_price() -> None:
    made = router(answer("good", 50), Budget(usd=1, per="session"), fleet=UNPRICED)
    assert made.run(PROMPT).model == "x:a"
    assert made.run(PROMPT, session="s").model == "x:b"


def test_each_model_is_estimated_at_its_own_price_and_few_prices_are_remembered() -> None:
    budget, fleet = Budget(usd=1_000), Fleet([Tier("only", ModelSpec("x:m"))])
    for usd in range(1, 3_000):
        model = ModelSpec("x:m", price=Price(usd, 0))
        call = Call(Attempt(Task("q"), model), "call", "run", 0.0, Pricing(fleet), 1_000, ScriptedBackend({}))
        assert [claim.amount for claim in budget.claims(call) if isinstance(claim, Spend)] == [usd * 10**6]
    assert len(budget._rates) <= 1_000


def test_what_costs_nothing_goes_whatever_is_left() -> None:
    made = router(answer("good", 50), Budget(usd="0.0001"), fleet=UNPRICED, policy=Always("b"))
    for _ in range(3):
        assert made.run(PROMPT).text == "good"


def test_an_answer_from_a_model_of_unknown_price_is_charged_at_the_price_of_the_one_that_was_asked() -> None:
    budget = Budget(usd=1)
    other = Outcome(cast("Attempt", None), text="good", usage=Usage(100, 50), model="other")
    made = router(other, budget)
    assert made.run(PROMPT).cost is None
    assert spent(made, budget) == Decimal("0.0006")


def test_all_that_is_sent_is_estimated() -> None:
    backend = ScriptedBackend({"*": answer("good", 1)})
    budget = Budget(tokens=5_000)
    tools = [{"name": "f" * 400, "description": "d" * 400}]
    router(backend, budget).run(Task([{"role": "user", "content": "q", "images": ["http://x/i.png"]}], tools=tools))
    (cap,) = (a.setting("max_output_tokens") for a in backend.attempts)
    assert cap is not None
    assert 5_000 - 1_600 - 220 - 10 <= cap <= 5_000 - 1_600 - 200


# How calls end.


@every_driver
def test_a_call_that_failed_unbilled_gives_everything_back(drive: Driver) -> None:
    budget = Budget(usd=1)
    made = router(UnavailableError("down", status=503), budget)
    drive(made, PROMPT)
    assert spent(made, budget) == 0


async def test_of_a_call_that_was_cancelled_the_prompt_is_charged() -> None:
    budget = Budget(usd=1, tokens=1_000)
    made = router(HANG, budget)
    task = asyncio.create_task(made.arun(PROMPT))
    await until(lambda: made.spending(budget).reserved == Amount(Decimal("0.0091"), 1_000))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spent(made, budget) == Decimal("0.0001")
    assert made.spending(budget).spent.tokens == 100


async def test_a_stream_that_was_left_is_charged_for_what_came() -> None:
    budget = Budget(usd=1)
    made = router(Stream("four", " and", " more"), budget)
    with made.stream(PROMPT) as stream:
        next(iter(stream))
        assert made.spending(budget).reserved.usd == Decimal("0.04106")
    assert spent(made, budget) == Decimal("0.00011")
    async with made.astream(PROMPT) as astream:
        async for _ in astream:
            break
    assert spent(made, budget) == Decimal("0.00022")


def test_a_stream_that_was_left_is_charged_for_its_images_and_tools_too() -> None:
    budget = Budget(tokens=10_000)
    made = router(Stream("four", " and", " more"), budget)
    tools = [{"name": "f" * 400, "description": "d" * 400}]
    with made.stream(Task([{"role": "user", "content": "q", "images": ["http://x/i.png"]}], tools=tools)) as stream:
        next(iter(stream))
    charged = made.spending(budget).spent.tokens
    assert charged is not None
    assert charged > 1_600 + 200
    (row,) = stream.receipt.rows
    assert row.usage == Usage(charged - 1, 1, estimated=True)


# Accounts.


def test_each_run_session_and_tag_has_an_account_of_its_own() -> None:
    run, session = Budget(usd=1, per="run"), Budget(usd=1, per="session")
    user, team = Budget(usd=1, tag="user:"), Budget(usd=1, tag="team:a", per="session")
    made = router(answer("good", 50), run, session, user, team)
    reply = made.run(PROMPT, session="s", tags=["user:ann", "user:bob", "team:a"])
    made.run(PROMPT, session="t", tags=["user:ann", "team:b"])
    made.run(PROMPT)
    once = Decimal("0.0006")
    assert (spent(made, run, run=reply.run_id), spent(made, run, run="another")) == (once, 0)
    assert [spent(made, session, session=s) for s in ("s", "t")] == [once, once]
    assert [spent(made, user, tag=f"user:{name}") for name in ("ann", "bob", "eve")] == [2 * once, once, 0]
    assert [spent(made, team, tag="team:a", session=s) for s in ("s", "t")] == [once, 0]


def test_a_budget_per_call_bounds_each_by_itself() -> None:
    made = router(answer("good", 50), Budget(usd="0.001", per="call"))
    for _ in range(5):
        made.run(PROMPT)
    with pytest.raises(BudgetExceededError, match="call budget"):
        made.run(PROMPT, max_output_tokens=91)


def test_a_window_has_an_account_of_its_own_and_is_charged_where_the_call_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_700_000_000.0  # 2023-11-14T22:13:20Z
    monkeypatch.setattr("tierwise.admission.time.time", lambda: now)
    monkeypatch.setattr("tierwise.router.time.time", lambda: now)
    budget = Budget(usd="0.0011", per="day")

    def into_the_next_day(attempt: Attempt) -> Outcome:
        nonlocal now
        now += 7_200
        return answer("good", 50)

    made = router(ScriptedBackend({"*": into_the_next_day}), budget)
    made.run(PROMPT)
    assert spent(made, budget) == 0
    made.run(PROMPT)
    now = 1_700_000_000.0
    assert spent(made, budget) == Decimal("0.0006")
    with pytest.raises(BudgetExceededError, match="day budget \\(2023-11-14\\)") as caught:
        made.run(PROMPT, max_output_tokens=100)
    assert caught.value.retry_after == 6_400


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a cap"),
        ({"usd": 0}, "usd=0 must be USD, above zero"),
        ({"usd": "NaN"}, "must be USD"),
        ({"usd": "much"}, "must be USD"),
        ({"tokens": -1}, "whole number of tokens"),
        ({"tokens": 1.5}, "whole number of tokens"),
        ({"usd": 1, "per": "year"}, "per='year' must be one of call, run"),
        ({"usd": 1, "on_exhausted": "go on"}, "must be 'stop', 'downgrade' or a function"),
        ({"usd": 1, "timezone": "Berlin"}, "timezone='Berlin' is not known"),
        ({"usd": 1, "timezone": None}, "timezone=None is not known"),
        ({"usd": 1, "estimate": 0.01}, r"estimate=0.01 must be a price.*Price\(3, 15\)"),
        ({"usd": 1, "estimate": {"acme:a": 0.01}}, "must be a price"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Budget(**options)


def test_two_budgets_that_the_state_would_take_for_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="two limits are named 'day budget'"):
        router("x", Budget(usd=1, per="day"), Budget(usd=2, per="day"))


def test_accounts_of_calls_and_runs_do_not_pile_up() -> None:
    now = 1_000.0
    state = MemoryState(clock=lambda: now)
    made = router(answer("good", 50), Budget(usd=1, per="run"), Budget(usd=1, per="call"), state=state)
    for _ in range(5):
        made.run(PROMPT)
        assert len(state._book.accounts) == 2
        now += 6 * 3_600 + 1


def test_a_refused_call_leaves_no_account_behind() -> None:
    state = MemoryState()
    made = router("x", Budget(usd="0.0001", per="run"), state=state)
    with pytest.raises(BudgetExceededError):
        made.run(PROMPT)
    assert not any(state._book.records.values())
