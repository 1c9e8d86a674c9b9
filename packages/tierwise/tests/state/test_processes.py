"""Real processes, on one state: no budget is ever overspent, a circuit is probed once, the dead hold nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tierwise.ids import new_id
from tierwise.state import Circuit, Granted, Signal, Spend, State
from tierwise.state.redis import RedisState
from tierwise.state.sqlite import SQLiteState
from tierwise.testing.conformance.state.suite import refused, reserved

SPENDER = Path(__file__).with_name("spender.py")
PATIENCE = 60.0


class Store:
    """Where the state is, for other processes and for this one."""

    def __init__(self, state: State, store: str) -> None:
        self.state = state
        self._said = {"store": store, "prefix": "processes"}

    @contextmanager
    def program(
        self, claim: Spend | Circuit, do: str, calls: int, lease: float = 60
    ) -> Generator[subprocess.Popen[str]]:
        said = self._said | {"claim": claim._asdict(), "do": do, "calls": calls, "lease": lease}
        command = [sys.executable, str(SPENDER), json.dumps(said)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            try:
                yield running
            finally:
                running.kill()


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        with SQLiteState(tmp_path / "state.db", wait=PATIENCE) as state:
            yield Store(state, str(tmp_path / "state.db"))
    else:
        url: str = request.getfixturevalue("tierwise_redis")
        with RedisState(url, prefix="processes", wait=PATIENCE) as state:
            yield Store(state, url)


def line(running: subprocess.Popen[str]) -> Any:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def go(*programs: subprocess.Popen[str]) -> None:
    for running in programs:
        assert line(running) == "ready"
    for running in programs:
        assert running.stdin is not None
        running.stdin.write("go\n")
        running.stdin.flush()


def soon(happens: Callable[[], bool]) -> bool:
    ends = time.monotonic() + PATIENCE
    while not happens() and time.monotonic() < ends:
        time.sleep(0.01)
    return happens()


def test_a_thousand_calls_of_four_processes_never_pass_a_budget_of_a_hundred(store: Store) -> None:
    claim = Spend(f"budget {new_id()}", cap=100, amount=1)
    state = store.state
    with ExitStack() as stack:
        doomed = stack.enter_context(store.program(claim, "hold", calls=7, lease=1.0))
        go(doomed)
        assert line(doomed) == "holding"
        doomed.kill()
        programs = [stack.enter_context(store.program(claim, "spend", calls=250)) for _ in range(4)]
        go(*programs)
        said = [json.loads(line(running)) for running in programs]
    granted = sum(count for count, _, _ in said)
    assert 0 < max(highest for _, _, highest in said) <= 100
    assert soon(lambda: state.balance(claim.key).reserved == 0)  # what the killed one held has lapsed
    left = 100 - state.balance(claim.key).spent
    assert granted == 100 - left
    assert 0 <= left <= 7, "what lapsed before the end could be spent"
    for _ in range(left):
        reserved(state, claim)
    refused(state, claim)


def test_at_half_open_four_processes_send_one_probe_and_the_next_if_it_dies(store: Store) -> None:
    claim = Circuit(f"circuit {new_id()}", failures=1, cooldown=0.05, longest=0.05)
    state = store.state

    def opened() -> None:
        call_id = new_id()
        assert isinstance(state.reserve(call_id, [claim], lease=60), Granted)
        state.settle(call_id, [claim], [Signal("bad")])
        time.sleep(0.1)

    opened()
    with ExitStack() as stack:
        programs = [stack.enter_context(store.program(claim, "probe", calls=100)) for _ in range(4)]
        go(*programs)
        said = [json.loads(line(running)) for running in programs]
    assert [sum(counts) for counts in zip(*said, strict=True)][:2] == [1, 1]

    claim = Circuit(f"circuit {new_id()}", failures=1, cooldown=0.05, longest=0.05)
    opened()
    lease = 1.0
    with store.program(claim, "hold", calls=1, lease=lease) as doomed:
        began = time.monotonic()
        go(doomed)
        assert line(doomed) == "holding"
        doomed.kill()
        assert soon(lambda: state.reserve("the next", [claim], lease=600) == Granted(0, probe=True))
        assert time.monotonic() - began >= lease, "nobody was let through before"
        refused(state, claim)
