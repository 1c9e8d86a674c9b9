"""What a provider's failures mean for the calls that come after them: circuits, their probes, and who shares them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tierwise import Budget, CircuitBreaker, Fleet, ModelSpec, Price, Single, Tier
from tierwise.errors import AllModelsFailedError, CircuitOpenError
from tierwise.ledger import SQLiteLedger
from tierwise.limits import Limit
from tierwise.state import MemoryState, SQLiteState
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_ollama import OllamaBackend

from .prober import router as lonely
from .programs import PATIENCE, go, line, soon, started
from .scene import Got, Scene, Way

HELLO = Reply(text="Hello there.")
DOWN = Reply(status=500, error="the runner stopped")
OTHER_KEY = "sk-other-0123456789abcdef"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(scene: Scene) -> Clock:
    """The clock of the scene's state."""
    clock = Clock()
    scene.state = MemoryState(clock=clock)
    return clock


def limits(scene: Scene, **breaker: Any) -> Sequence[Limit]:
    return [scene.budget, CircuitBreaker(**breaker)]


def rest(got: Got) -> float:
    """Seconds for which the first model was refused."""
    refused = got.rows[0]
    assert (refused.state, refused.error_type) == ("refused", CircuitOpenError.__name__)
    return float(str(refused.error).partition("left alone for ")[2].split()[0])


def later(seconds: float) -> Reply:
    return Reply(status=429, retry_after=seconds)


@pytest.mark.parametrize("form", ["seconds", "milliseconds", "date"])
def test_fault_01_the_time_that_a_provider_names_is_kept(scene: Scene, way: Way, clock: Clock, form: str) -> None:
    date = datetime.now(UTC) + timedelta(seconds=1_000)
    forms = {
        "seconds": later(1_000),
        "milliseconds": Reply(status=429, retry_after_ms=1_000_000),
        "date": Reply(status=429, retry_after=date),
    }
    scene.provider.on("small", forms[form], HELLO)
    scene.provider.on("large", HELLO)
    router = scene.router(strategy=Single(), limits=limits(scene))
    assert scene.ask(router, way=way).answer.model == "ollama:large"
    clock.now += 100
    got = scene.ask(router, way=way)
    assert got.answer.model == "ollama:large"
    assert 800 < rest(got) <= 900
    clock.now += 900
    assert scene.ask(router, way=way).answer.model == "ollama:small"
    assert scene.models == ["small", "large", "large", "small"]


@pytest.mark.parametrize("status", [401, 403])
def test_fault_05_a_key_that_is_refused_closes_its_own_way_alone(
    scene: Scene, way: Way, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in ("small", "spare", "large"):
        scene.provider.on(model, Reply(status=status, error="no such key"), HELLO)
    router = scene.router("small+spare", "large", strategy=Single(), limits=limits(scene))
    for _ in range(2):
        assert isinstance(scene.ask(router, way=way).error, AllModelsFailedError)
    assert scene.models == ["small"], "neither that model nor another is asked with the same key"
    scene.keys.add(OTHER_KEY)
    monkeypatch.setenv("OLLAMA_API_KEY", OTHER_KEY)
    assert scene.ask(router, way=way).answer.model == "ollama:small"


def test_fault_08_a_server_that_is_not_there_is_left_alone_at_once(scene: Scene, way: Way) -> None:
    scene.provider.on("large", HELLO)
    fleet = Fleet([Tier("small", "mine:small"), Tier("large", ModelSpec("ollama:large", price=Price(1, 1)))])
    backends = {"ollama": scene.backend(), "mine": OllamaBackend("127.0.0.1:9")}
    router = scene.router(fleet=fleet, strategy=Single(), backends=backends, limits=limits(scene))
    first, second = scene.ask(router, way=way), scene.ask(router, way=way)
    scene.unreached = 1
    assert (first.answer.model, second.answer.model) == ("ollama:large", "ollama:large")
    assert rest(second) > 0


# Half-open


def half_open(scene: Scene, clock: Clock, **options: Any) -> Any:
    """A router over one model, which failed, and whose cooldown is over."""
    router = scene.router("small", strategy=Single(), limits=limits(scene, failures=1), **options)
    scene.provider.on("small", DOWN)
    scene.ask(router)
    clock.now += 1_000
    return router


def test_fault_18_of_a_hundred_threads_one_reaches_the_provider(scene: Scene, clock: Clock) -> None:
    router = half_open(scene, clock)
    gate = threading.Event()
    scene.provider.on("small", Reply(text="Hello there.", gate=gate))
    with ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(scene.ask, router) for _ in range(100)]
        assert soon(lambda: sum(one.done() for one in asked) == 99)
        gate.set()
    got = [one.result() for one in asked]
    assert sum(one.reply is not None for one in got) == 1
    assert scene.provider.count() == 2
    assert scene.ask(router).answer.text == "Hello there.", "the circuit is closed again"


def test_fault_18_of_a_hundred_tasks_one_reaches_the_provider(scene: Scene, clock: Clock) -> None:
    router = half_open(scene, clock)
    gate = threading.Event()
    scene.provider.on("small", Reply(text="Hello there.", gate=gate))

    async def all_at_once() -> list[Any]:
        tasks = [asyncio.create_task(router.arun("Say hello.")) for _ in range(100)]
        waiting = set(tasks)
        while len(waiting) > 1:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        gate.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    said = asyncio.run(asyncio.wait_for(all_at_once(), PATIENCE))
    assert sum(not isinstance(one, BaseException) for one in said) == 1
    assert scene.provider.count() == 2


PROBE = 600.0
"""Seconds that a probe may take."""


class Shared:
    """One model, one ledger and one SQLite file, for this process and for others."""

    def __init__(self, provider: LoopbackProvider, folder: Path, **breaker: Any) -> None:
        self.ledger = folder / "ledger.db"
        self.provider = provider
        self.store = str(folder / "state.db")
        self.breaker: dict[str, Any] = {"failures": 1, "cooldown": 0.2, "longest": 0.5, "probe": PROBE} | breaker
        self.skipped = 0.0
        """Seconds by which the clock of this process's calls is ahead."""

    def program(self, calls: int) -> Any:
        said: dict[str, Any] = {"provider": self.provider.url, "ledger": str(self.ledger), "store": self.store}
        return started("prober.py", **said, calls=calls, breaker=self.breaker)

    def ask(self) -> str:
        """What becomes of a call of this process."""
        with self._state() as state, SQLiteLedger(self.ledger) as ledger:
            try:
                return lonely(self.provider.url, state, self.breaker, ledger=ledger).run("Say hello.").text
            except AllModelsFailedError as error:
                return type(error.outcomes[0].error).__name__

    def _state(self) -> SQLiteState:
        return SQLiteState(self.store, wait=PATIENCE, clock=lambda: time.monotonic() + self.skipped)

    def rows(self, *states: str) -> int:
        with SQLiteLedger(self.ledger) as ledger:
            return sum(row.state in states for row in ledger.rows())


def test_fault_18_of_two_processes_one_call_reaches_the_provider(provider: LoopbackProvider, tmp_path: Path) -> None:
    shared = Shared(provider, tmp_path)
    provider.on("small", DOWN)
    assert shared.ask() == "UnavailableError"
    gate = threading.Event()
    provider.on("small", Reply(text="Hello there.", gate=gate))
    with ExitStack() as stack:
        programs = [stack.enter_context(shared.program(50)) for _ in range(2)]
        threading.Event().wait(1.0)  # the cooldown
        go(*programs)
        assert soon(lambda: shared.rows("refused") == 99)
        provider.wait_until(lambda: provider.count() == 2, PATIENCE)
        gate.set()
        said = [json.loads(line(running)) for running in programs]
    assert [sum(counts) for counts in zip(*said, strict=True)] == [1, 99, 0]
    assert shared.rows("settled") == provider.count() == 2
    assert shared.ask() == "Hello there."


def test_fault_19_a_probe_whose_process_is_killed_gives_way(provider: LoopbackProvider, tmp_path: Path) -> None:
    shared = Shared(provider, tmp_path)
    provider.on("small", DOWN)
    shared.ask()
    provider.on("small", Reply(stall=True))
    with shared.program(1) as doomed:
        threading.Event().wait(1.0)  # the cooldown
        go(doomed)
        provider.wait_until(lambda: provider.open_calls == 1, PATIENCE)
        assert shared.ask() == "CircuitOpenError"
        os.kill(doomed.pid, signal.SIGKILL)
        provider.on("small", HELLO)
        shared.skipped = PROBE
        assert shared.ask() == "Hello there."
    assert shared.rows("unknown") == 1
    assert shared.rows("settled", "unknown") == provider.count()


def test_fault_28_what_one_process_learnt_of_a_model_another_knows(provider: LoopbackProvider, tmp_path: Path) -> None:
    shared = Shared(provider, tmp_path, cooldown=600, longest=600)
    provider.on("small", DOWN)
    with shared.program(1) as first:
        go(first)
        assert json.loads(line(first)) == [0, 0, 1]
    with shared.program(20) as second:
        go(second)
        assert json.loads(line(second)) == [0, 20, 0]
    assert shared.ask() == "CircuitOpenError"
    assert shared.rows("settled") == provider.count() == 1


# Several at once


@pytest.mark.parametrize("seconds", [(60.0, 900.0), (900.0, 60.0)], ids=["the later", "the earlier"])
def test_fault_20_of_two_cooldowns_the_longer_holds(scene: Scene, seconds: tuple[float, float]) -> None:
    gates = threading.Event(), threading.Event()
    replies = [Reply(status=429, retry_after=s, gate=gate) for s, gate in zip(seconds, gates, strict=True)]
    scene.provider.on("small", *replies)
    router = scene.router("small", strategy=Single(), limits=limits(scene))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(scene.ask, router)
        scene.provider.wait_until(lambda: scene.provider.open_calls == 1, PATIENCE)
        second = pool.submit(scene.ask, router)
        scene.provider.wait_until(lambda: scene.provider.open_calls == 2, PATIENCE)
        for gate, asked in zip(gates, (first, second), strict=True):
            gate.set()
            assert isinstance(asked.result().error, AllModelsFailedError)
    assert 600 < rest(scene.ask(router)) <= 900
    assert scene.provider.count() == 2


def test_fault_21_where_all_are_open_the_error_comes_at_once_and_says_when(scene: Scene, way: Way) -> None:
    scene.provider.on("small", later(900))
    scene.provider.on("spare", later(300))
    scene.provider.on("large", later(600))
    router = scene.router("small+spare", "large", strategy=Single(), limits=limits(scene))
    for state in ("settled", "refused", "refused"):
        error = scene.ask(router, way=way).error
        assert isinstance(error, AllModelsFailedError)
        assert 200 < (error.retry_after or 0) <= 300
        assert "it is worth trying again in" in str(error)
        assert [row.state for row in error.attempts] == [state] * 3
    assert scene.provider.count() == 3, "nobody is asked again before that"


def test_fault_21_a_budget_is_not_touched_by_what_a_circuit_refuses(scene: Scene, way: Way) -> None:
    scene.provider.on("small", later(900))
    budget = Budget(tokens=10_000, name="own")
    router = scene.router("small", strategy=Single(), limits=[budget, CircuitBreaker()])
    for _ in range(2):
        scene.ask(router, way=way)
    spending = router.spending(budget)
    assert (spending.spent.tokens, spending.reserved.tokens) == (0, 0)
