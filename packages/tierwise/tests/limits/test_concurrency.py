"""A thousand calls against a budget for a hundred: spent and reserved together never pass the cap."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from tierwise import Budget, Fleet, ModelSpec, Price, Router, Single, Task, Tier, Usage
from tierwise.attempt import Attempt, Outcome
from tierwise.backends import Backend
from tierwise.errors import BudgetExceededError
from tierwise.limits import Spending

from ..driving import nothing_is_held

FLEET = Fleet([Tier("only", ModelSpec("x:m", price=Price(1, 10), max_output_tokens=90))])
PROMPT = Task("q" * 399)
ONCE = Decimal("0.001")
CALLS, ADMITTED = 1_000, 100


class Watching(Backend):
    """Answers with all that it may, and looks at the budget whenever it is called."""

    def __init__(self) -> None:
        self.calls = 0
        self.worst = Decimal(0)
        self._lock = threading.Lock()

    def call(self, attempt: Attempt) -> Outcome:
        self._look()
        return Outcome(attempt, text="good", usage=Usage(100, 90))

    async def acall(self, attempt: Attempt) -> Outcome:
        self._look()
        await asyncio.sleep(0)
        self._look()
        return Outcome(attempt, text="good", usage=Usage(100, 90))

    def _look(self) -> None:
        spending: Spending = self.made.spending(self.budget)
        with self._lock:
            self.calls += 1
            self.worst = max(self.worst, (spending.spent.usd or Decimal(0)) + (spending.reserved.usd or Decimal(0)))

    def router(self) -> Router:
        self.budget = Budget(usd=ONCE * ADMITTED)
        self.made = Router(FLEET, strategy=Single(), backends={"x": self}, limits=[self.budget])
        return self.made


def check(backend: Watching, admitted: int, looks: int) -> None:
    assert admitted == ADMITTED
    assert backend.calls == ADMITTED * looks
    assert 0 < backend.worst <= ONCE * ADMITTED
    spending = backend.made.spending(backend.budget)
    assert (spending.spent.usd, spending.reserved.usd) == (ONCE * ADMITTED, 0)
    assert nothing_is_held(backend.made)


def test_threads_never_pass_the_cap() -> None:
    backend = Watching()
    made = backend.router()

    def one(_: int) -> int:
        try:
            made.run(PROMPT)
        except BudgetExceededError:
            return 0
        return 1

    with ThreadPoolExecutor(16) as pool:
        check(backend, sum(pool.map(one, range(CALLS))), looks=1)


async def test_tasks_never_pass_the_cap() -> None:
    backend = Watching()
    made = backend.router()

    async def one() -> int:
        try:
            await made.arun(PROMPT)
        except BudgetExceededError:
            return 0
        return 1

    check(backend, sum(await asyncio.gather(*(one() for _ in range(CALLS)))), looks=2)
