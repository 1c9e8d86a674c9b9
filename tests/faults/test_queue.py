"""A model that takes one or two calls at a time gets no more: from threads, from tasks, from several processes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from tierwise import RateLimit, Task
from tierwise.admission import LEASE, PLACE
from tierwise.attempt import Attempt
from tierwise.fleet.pricing import Pricing
from tierwise.limits import Call
from tierwise.state import Denied, MemoryState, SQLiteState
from tierwise.testing.provider import LoopbackProvider, Reply, Request
from tierwise_ollama import OllamaBackend

from .programs import PATIENCE, go, line, soon, started
from .queuer import router

places_of_a_model = pytest.mark.parametrize("places", [1, 2])


def fills(provider: LoopbackProvider, places: int) -> None:
    """It answers as soon as all its places were taken at once; then those who come too early would be seen."""
    full = threading.Event()

    def reply(_: Request) -> Reply:
        if provider.open_calls >= places:
            full.set()
        return Reply(text="Hello.", gate=full, first_token_delay=0.01)

    provider.on("small", reply)


def check(provider: LoopbackProvider, calls: int, places: int) -> None:
    provider.wait_idle()
    assert (provider.count(), provider.peak_open_calls) == (calls, places)


@places_of_a_model
def test_fault_35_threads_wait_before_the_server_is_full(provider: LoopbackProvider, places: int) -> None:
    fills(provider, places)
    state = MemoryState()
    made = router(provider.url, state, places)
    with ThreadPoolExecutor(20) as pool:
        texts = {done.result().text for done in [pool.submit(made.run, "Say hello.") for _ in range(20)]}
    assert (texts, state.held) == ({"Hello."}, 0)
    check(provider, 20, places)


@places_of_a_model
async def test_fault_35_tasks_wait_before_the_server_is_full(provider: LoopbackProvider, places: int) -> None:
    fills(provider, places)
    made = router(provider.url, None, places)
    await asyncio.gather(*(made.arun("Say hello.") for _ in range(20)))
    check(provider, 20, places)


@places_of_a_model
@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_fault_35_processes_wait_for_each_other(
    provider: LoopbackProvider, request: pytest.FixtureRequest, tmp_path: Path, store: str, places: int
) -> None:
    fills(provider, places)
    where = str(tmp_path / "state.db") if store == "sqlite" else request.getfixturevalue("tierwise_redis")
    with ExitStack() as stack:
        said = {"provider": provider.url, "store": where, "calls": 15, "places": places}
        programs = [stack.enter_context(started("queuer.py", **said)) for _ in range(2)]
        go(*programs)
        assert [json.loads(line(running)) for running in programs] == [15, 15]
    check(provider, 30, places)


def test_fault_35_who_is_killed_while_it_waits_holds_nobody_up(provider: LoopbackProvider, tmp_path: Path) -> None:
    provider.on("small", Reply(stall=True))
    store, skipped = tmp_path / "state.db", [0.0]
    with SQLiteState(store, wait=PATIENCE, clock=lambda: time.monotonic() + skipped[0]) as state:
        said = {"provider": provider.url, "store": str(store), "places": 1}
        with started("queuer.py", **said, calls=1) as holds, started("queuer.py", **said, calls=5) as waits:
            go(holds)
            assert soon(lambda: provider.open_calls == 1)
            go(waits)
            assert soon(lambda: before(state, provider.url) == 5)
        provider.on("small", Reply(text="Hello."))
        skipped[0] = LEASE + PLACE + 1
        assert router(provider.url, state, 1).run("Say hello.").text == "Hello."


def before(state: SQLiteState, provider: str) -> int:
    """How many calls wait before one that comes now."""
    fleet = router(provider, None, 1).fleet
    attempt = Attempt(Task("Say hello."), fleet.find("ollama:small"))
    call = Call(attempt, "late", "late", time.time(), Pricing(fleet), 10, OllamaBackend(provider))
    said = state.reserve("late", RateLimit().claims(call), lease=60)
    return said.ahead if isinstance(said, Denied) else 0
