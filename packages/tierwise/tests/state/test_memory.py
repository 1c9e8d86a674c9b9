"""The state of one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from tierwise.state import Balance, Granted, MemoryState, Slot, Spend, rules
from tierwise.state.records import Account
from tierwise.testing.conformance.state import StateConformance
from tierwise.testing.conformance.state.suite import reserved


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


class TestMemoryState(StateConformance):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def state(self, clock: Clock) -> MemoryState:
        return MemoryState(clock=clock)

    @pytest.fixture
    def passes(self, clock: Clock) -> Callable[[float], None]:
        return clock.passes


@pytest.mark.parametrize("settled", [True, False])
def test_an_interrupt_while_it_sets_aside_leaves_nothing_for_ever(
    settled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    clock = Clock()
    state, claims = MemoryState(clock=clock), [Spend("a", cap=9, amount=9), Slot("b", size=1)]
    with monkeypatch.context() as patch:
        patch.setitem(cast("dict[Any, Any]", rules._SET_ASIDE), Slot, interrupt)
        with pytest.raises(KeyboardInterrupt):
            state.reserve("call", claims, lease=60)
    if settled:
        state.settle("call", claims, [0, None])
    else:
        clock.passes(61)
    assert isinstance(state.reserve("another", claims, lease=60), Granted)


async def test_the_async_twins_do_not_let_the_loop_turn() -> None:
    state, claim = MemoryState(), Spend("a", cap=9, amount=1)
    for step in (
        state.areserve("call", [claim], lease=9),
        state.asettle("call", [claim], [1]),
        state.alift("a", 10),
        state.abalance("a"),
    ):
        with pytest.raises(StopIteration):
            step.send(None)


def test_a_settlement_that_does_not_fit_its_claims_changes_nothing() -> None:
    state, claims = MemoryState(), [Spend("a", cap=9, amount=1), Spend("b", cap=9, amount=1)]
    state.reserve("call", claims, lease=9)
    for taken in ([1], [1, 1, 1]):
        with pytest.raises(ValueError, match="one for each"):
            state.settle("call", claims, taken)
        assert state.balance("a") == Balance(0, 1)
    state.settle("call", claims, [1, 1])
    assert (state.balance("a"), state.held) == (Balance(1, 0), 0)


def test_what_is_over_is_not_kept() -> None:
    clock = Clock()
    state = MemoryState(clock=clock)
    for i in range(5_000):
        claim = Spend(f"run {i}", cap=9, amount=1, keep=60)
        state.settle(reserved(state, claim, lease=60), [claim], [1])
    assert state.held == 0
    assert len(state._book.leases) < 3_000
    clock.passes(61)
    for _ in range(6):  # each looks after a bounded number of records
        reserved(state, Spend("last", cap=99, amount=1))
    assert len(state._book.records[Account]) == 1
    clock.passes(100_000)
    assert (state.balance("last"), state.held) == (Balance(), 0)
