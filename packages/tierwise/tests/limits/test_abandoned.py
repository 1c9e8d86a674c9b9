"""A stream that was abandoned in a cycle of references: the garbage collector closes it, wherever that strikes."""

from __future__ import annotations

import gc
import pkgutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tierwise import Budget, CircuitBreaker, Fleet, ModelLimits, ModelSpec, Price, RateLimit, Router, Single, Tier
from tierwise.ledger import MemoryLedger
from tierwise.reply import ReplyStream
from tierwise.state import MemoryState
from tierwise.testing import ScriptedBackend, Stream

FLEET = Fleet([Tier("only", ModelSpec("x:m", price=Price(1, 1)))])


class Keeper:
    """Keeps a stream, and itself: nobody but the garbage collector ends it."""

    def __init__(self, stream: ReplyStream) -> None:
        self.stream = stream
        self.own = self


@pytest.fixture
def collector() -> Iterator[None]:
    """Strikes when it is told to, and never by itself."""
    gc.disable()
    yield
    gc.enable()


def abandoned(made: Router) -> None:
    keeper = Keeper(made.stream("q").__enter__())
    next(iter(keeper.stream))


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize(
    "place",
    [
        "tierwise.state.rules:_judged",
        "tierwise.state.rules:_give_back",
        "tierwise.state.alarms:_Alarm",
        "tierwise.state.memory:_moved",
        "tierwise.ledger.memory:MemoryLedger._drop",
    ],
)
def test_it_is_settled_in_the_middle_of_another_call_of_the_same_thread(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, budget = MemoryState(), Budget(usd=1)
    places = 1 if "alarms" in place else 2  # who finds none sets an alarm
    limits = [budget, CircuitBreaker(), RateLimit({"x": ModelLimits(concurrency=places)})]
    backend = ScriptedBackend({"*": Stream("one", "two")})
    ledger = MemoryLedger(max_runs=1)
    made = Router(FLEET, strategy=Single(), backends={"x": backend}, limits=limits, state=state, ledger=ledger)
    made.run("q")
    before = made.spending(budget).spent.usd
    assert before
    abandoned(made)
    assert state.held == 1
    works, struck = pkgutil.resolve_name(place), False

    def collected(*args: Any) -> Any:
        nonlocal struck
        if not struck:
            struck = True
            gc.collect()
        return works(*args)

    monkeypatch.setattr(place.replace(":", "."), collected)
    call = threading.Thread(target=made.run, args=("q",), daemon=True)
    call.start()
    call.join(60)
    assert struck
    assert not call.is_alive(), "it waits for itself"
    assert state.held == 0
    spending = made.spending(budget)
    assert (spending.spent.usd or 0) > 2 * before
    assert not spending.reserved.usd
