"""The same request under one key: from tasks, threads and processes, and where one of them is killed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tierwise import Router, Single, answering
from tierwise.errors import (
    AllModelsFailedError,
    InProgressError,
    KeyReusedError,
    StateError,
    UnknownOutcomeError,
)
from tierwise.run import Run
from tierwise.state import MemoryState, RedisState, SQLiteState, State
from tierwise.testing.provider import Reply as Said

from .keeper import KEY
from .programs import PATIENCE, go, line, started
from .scene import WAYS, Scene, Way

HELLO = Said(text="Hello there.")
MANY = 20


@pytest.fixture(params=["memory", "sqlite", "redis"])
def state(request: pytest.FixtureRequest, scene: Scene) -> Iterator[State]:
    """Each store; a file lies where it is searched for credentials."""
    if request.param == "memory":
        yield MemoryState()
    elif request.param == "sqlite":
        with SQLiteState(scene.folder / "state.db", wait=PATIENCE) as state:
            yield state
    else:
        with RedisState(request.getfixturevalue("tierwise_redis"), prefix=str(scene.folder), wait=PATIENCE) as state:
            yield state


def router(scene: Scene, state: State, **options: Any) -> Router:
    return scene.router("small", strategy=Single(), state=state, limits=[], **options)


def has_one_call_and_one_row(scene: Scene) -> bool:
    (row,) = scene.ledger.rows()
    return (scene.provider.count(), row.state) == (1, "settled")


def test_fault_31_the_second_time_the_reply_is_given_again(scene: Scene, state: State, way: Way) -> None:
    scene.provider.on("small", HELLO, Said(text="Another answer."))
    asks = router(scene, state)
    first = scene.ask(asks, way=way, idempotency_key=KEY)
    for again in WAYS:
        second = scene.ask(asks, way=again, idempotency_key=KEY)
        assert second.answer.replayed
        assert (second.answer.text, second.answer.run_id) == ("Hello there.", first.answer.run_id)
        assert second.answer.receipt == first.answer.receipt
        assert second.shown == ("Hello there." if again in ("stream", "astream") else "")
    assert has_one_call_and_one_row(scene)


def test_fault_31_many_at_once_are_one_call(scene: Scene, state: State) -> None:
    scene.provider.on("small", Said(text="Hello there.", first_token_delay=0.1))
    asks = router(scene, state)

    async def tasks() -> list[str]:
        replies = await asyncio.gather(*(asks.arun("Say hello.", idempotency_key=KEY) for _ in range(MANY // 2)))
        return [reply.text for reply in replies]

    with ThreadPoolExecutor(MANY // 2 + 1) as pool:
        threads = [pool.submit(asks.run, "Say hello.", idempotency_key=KEY) for _ in range(MANY // 2)]
        texts = pool.submit(asyncio.run, tasks()).result(PATIENCE)
        texts += [thread.result(PATIENCE).text for thread in threads]
    assert texts == ["Hello there."] * MANY
    assert has_one_call_and_one_row(scene)


def test_fault_31_who_cannot_wait_is_told_that_it_is_under_way(
    scene: Scene, state: State, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By this clock each look at it takes a while: so the deadline passes in the wait, and not before.
    monkeypatch.setattr(answering, "Run", partial(Run, clock=count(0.0, 0.005).__next__))
    gate = threading.Event()
    scene.provider.on("small", Said(text="Hello there.", gate=gate))
    asks = router(scene, state)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asks.run, "Say hello.", idempotency_key=KEY)
        scene.provider.wait_until(lambda: scene.provider.open_calls == 1)
        error = scene.ask(asks, way=way, idempotency_key=KEY, deadline=0.05).error
        gate.set()
        assert isinstance(error, InProgressError)
        assert first.result(PATIENCE).text == "Hello there."
    assert has_one_call_and_one_row(scene)


def test_fault_31_another_request_under_the_key_is_refused(scene: Scene, state: State, way: Way) -> None:
    scene.provider.on("small", HELLO)
    asks = router(scene, state)
    assert scene.ask(asks, way=way, idempotency_key=KEY).answer.text == "Hello there."
    assert isinstance(scene.ask(asks, "Say goodbye.", way=way, idempotency_key=KEY).error, KeyReusedError)
    assert has_one_call_and_one_row(scene)


def test_fault_31_a_run_that_failed_frees_its_key(scene: Scene, state: State, way: Way) -> None:
    scene.provider.on("small", Said(status=500), HELLO)
    asks = router(scene, state)
    assert isinstance(scene.ask(asks, way=way, idempotency_key=KEY).error, AllModelsFailedError)
    assert scene.ask(asks, way=way, idempotency_key=KEY).answer.text == "Hello there."
    assert scene.provider.count() == 2


def test_fault_31_a_stream_that_was_left_is_unknown(scene: Scene, state: State) -> None:
    scene.provider.on("small", HELLO)
    asks = router(scene, state)
    with asks.stream("Say hello.", idempotency_key=KEY) as stream:
        next(iter(stream))
    assert isinstance(scene.ask(asks, idempotency_key=KEY).error, UnknownOutcomeError)
    assert scene.provider.count() == 1


def test_fault_31_a_lost_store_refuses_or_goes_without(scene: Scene, way: Way) -> None:
    scene.provider.on("small", HELLO)
    state = SQLiteState(scene.folder / "state.db")
    state.close()
    assert isinstance(scene.ask(router(scene, state), way=way, idempotency_key=KEY).error, StateError)
    assert scene.provider.count() == 0
    got = scene.ask(router(scene, state, on_state_loss="fail_open"), way=way, idempotency_key=KEY)
    assert "without its idempotency_key" in str(got.answer.statements)
    assert has_one_call_and_one_row(scene)


# Processes


def program(
    scene: Scene, store: str, *, calls: int = 1, dies: bool = False, lease: float = 600.0
) -> AbstractContextManager[subprocess.Popen[str]]:
    said: dict[str, Any] = {"provider": scene.provider.url, "ledger": str(scene.path), "store": store}
    return started("keeper.py", **said, calls=calls, dies=dies, lease=lease)


def test_fault_31_two_processes_make_one_call(scene: Scene, tmp_path: Path) -> None:
    scene.provider.on("small", Said(text="Hello there.", first_token_delay=0.2))
    store = str(tmp_path / "state.db")
    with program(scene, store, calls=MANY // 2) as one, program(scene, store, calls=MANY // 2) as other:
        go(one, other)
        said = [*json.loads(line(one)), *json.loads(line(other))]
    assert {text for text, _, _ in said} == {"Hello there."}
    assert len({run_id for _, run_id, _ in said}) == 1
    assert [replayed for _, _, replayed in said].count(False) == 1
    assert has_one_call_and_one_row(scene)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_fault_31_after_a_process_was_killed_before_it_settled_the_outcome_is_unknown(
    scene: Scene, tmp_path: Path, way: Way
) -> None:
    scene.provider.on("small", HELLO)
    store = str(tmp_path / "state.db")
    with program(scene, store, dies=True, lease=1.0) as doomed:
        go(doomed)
        assert doomed.wait(PATIENCE) == -9
    assert scene.provider.calls[0].completed, "the provider answered, and billed"
    with SQLiteState(store, wait=PATIENCE) as state:
        asks = router(scene, state)
        (lost,) = scene.ledger.rows()
        error = scene.ask(asks, way=way, idempotency_key=KEY).error  # it waits until the lease has ended
        assert isinstance(error, UnknownOutcomeError)
        assert (lost.state, error.run_id) == ("unknown", lost.run_id)
        assert scene.provider.count() == 1, "nothing is repeated unasked"
        assert scene.ask(asks, way=way, idempotency_key=KEY, retry_unknown=True).answer.text == "Hello there."
        assert scene.ask(asks, way=way, idempotency_key=KEY).answer.replayed
    assert scene.provider.count() == 2
