"""Whatever is asked of them, in whatever order: all stores give the same answers. Memory is the measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test
from tierwise.state import Circuit, Claim, Granted, MemoryState, Observed, Rate, Signal, Slot, Spend, State, Taken, Turn
from tierwise.state.redis import RedisState
from tierwise.state.sqlite import SQLiteState

ACCOUNTS = {"a": 1_000, "b": 2**60 + 1}
MODELS = ["m", "n"]

# Times are sums of powers of two, so that they are exact whatever a store's clock began with.
seconds = st.integers(0, 64 * 40).map(lambda n: n / 64)


def spend(name: str, amount: int, each: int) -> Spend:
    return Spend(name, cap=ACCOUNTS[name], amount=amount, each=each)


def rate(name: str, amount: int, burst: int | None) -> Rate:
    return Rate(name, limit=16, period=64.0, amount=amount, burst=burst)


def circuit(name: str) -> Circuit:
    return Circuit(name, failures=2, cooldown=8.0, longest=64.0, probe=4.0 if name == "d" else None)


amounts = st.integers(0, 400) | st.integers(2**51, 2**52)
spends = st.builds(spend, st.sampled_from(sorted(ACCOUNTS)), amounts, st.integers(0, 9))
slots = st.builds(Slot, st.sampled_from(["s", "t"]), size=st.integers(1, 3))
rates = st.builds(rate, st.sampled_from(["r", "q"]), st.integers(0, 20), st.none() | st.integers(1, 32))
circuits = st.builds(circuit, st.sampled_from(["c", "d"]))
signals = st.none() | st.builds(
    Signal, st.sampled_from(["good", "bad", "bad", "down", "unknown"]), st.none() | st.integers(0, 100).map(float)
)
turns = st.builds(Turn, st.sampled_from(["l", "k"]), party=st.sampled_from("xyz"))
claimed = st.lists(spends | slots | rates | circuits | turns, min_size=1, max_size=5, unique_by=lambda claim: claim.key)
keys = st.sampled_from(["k", "\ud800"])
runs = st.sampled_from(["1", "2", "3"])
numbers = count()


class Clock:
    """One for all examples: a store's time never goes back."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def renamed(claim: Claim, prefix: str) -> Claim:
    return claim._replace(key=prefix + claim.key)


class Stores(RuleBasedStateMachine):
    """Three states side by side. Each example has keys of its own."""

    others: Sequence[State]
    clock: Clock
    calls = Bundle("calls")

    @initialize()
    def begin(self) -> None:
        self.memory = MemoryState(clock=self.clock)
        self.prefix = f"{next(numbers)} "

    def ask(self, method: str, *args: Any, **options: Any) -> Any:
        said = getattr(self.memory, method)(*args, **options)
        for other in self.others:
            assert getattr(other, method)(*args, **options) == said, other
        return said

    @rule(
        target=calls,
        claims=claimed,
        lease=seconds,
        least=st.integers(0, 30),
        most=st.integers(0, 200),
        wait=st.just(0.0) | seconds,
    )
    def reserve(self, claims: list[Claim], lease: float, least: int, most: int, wait: float) -> object:
        call_id = f"{self.prefix}call {next(numbers)}"
        claims = [renamed(claim, self.prefix) for claim in claims]
        said = self.ask("reserve", call_id, claims, lease=lease, least=least, most=most, wait=wait)
        return (call_id, claims) if wait or isinstance(said, Granted) else cast("object", multiple())

    @rule(call=calls, lease=seconds, wait=st.just(0.0) | seconds)
    def reserve_again(self, call: tuple[str, list[Claim]], lease: float, wait: float) -> None:
        self.ask("reserve", *call, lease=lease, most=50, wait=wait)

    @rule(call=calls, data=st.data())
    def settle(self, call: tuple[str, list[Claim]], data: st.DataObject) -> None:
        call_id, claims = call
        figures = st.none() | st.integers(0, 900)
        taken: list[Taken] = [data.draw(signals if isinstance(claim, Circuit) else figures) for claim in claims]
        taken = [None if isinstance(claim, Slot | Turn) else took for claim, took in zip(claims, taken, strict=True)]
        self.ask("settle", call_id, claims, taken)

    @rule(name=st.sampled_from(sorted(ACCOUNTS)), cap=st.integers(0, 5_000) | st.integers(2**60, 2**70))
    def lift(self, name: str, cap: int) -> None:
        self.ask("lift", self.prefix + name, cap)

    @rule(name=st.sampled_from(sorted(ACCOUNTS)))
    def balance(self, name: str) -> None:
        self.ask("balance", self.prefix + name)

    @rule(model=st.sampled_from(MODELS), took=st.none() | seconds, failed=st.booleans())
    def observe(self, model: str, took: float | None, failed: bool) -> None:
        self.ask("observe", Observed(self.prefix + model, took, failed))
        self.ask("latency", self.prefix + model)
        self.ask("error_rate", self.prefix + model)

    @rule(name=st.sampled_from(["c", "d"]))
    def open_for(self, name: str) -> None:
        asked = f"{self.prefix}{name}"
        said = self.memory.open_for(asked)
        for other in self.others:
            # Without the answers that it keeps for a while.
            assert cast("Any", other)._ask_circuit(asked) == said, other

    @rule(key=keys, request=st.sampled_from("xy"), run=runs, lease=seconds, again=st.booleans())
    def begin_once(self, key: str, request: str, run: str, lease: float, again: bool) -> None:
        self.ask("begin_once", self.prefix + key, request, run, lease=lease, again=again)

    @rule(key=keys, run=runs, body=st.none() | st.text(st.characters(codec="ascii")), keep=seconds)
    def end_once(self, key: str, run: str, body: str | None, keep: float) -> None:
        self.ask("end_once", self.prefix + key, run, body, keep=keep)

    @rule(length=seconds)
    def passes(self, length: float) -> None:
        self.clock.now += length

    def teardown(self) -> None:
        self.clock.now += 1_000
        for name in ACCOUNTS:
            assert self.ask("balance", self.prefix + name).reserved == 0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "redis"])
def other(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[State]:
    if request.param == "sqlite":
        with SQLiteState(tmp_path / "state.db", wait=60, brief=60, clock=clock) as state:
            yield state
    else:
        with RedisState(
            request.getfixturevalue("tierwise_redis"), prefix="alike", wait=60, brief=60, clock=clock
        ) as state:
            yield state


def test_it_answers_as_memory_does(other: State, clock: Clock) -> None:
    machine = type("Stores", (Stores,), {"others": [other], "clock": clock})
    patient = settings(
        max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(machine, settings=patient)
