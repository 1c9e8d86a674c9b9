"""A budget that several processes share, and a store that is lost: SQLite on one machine, Redis on many."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from tierwise import FREE, Budget, Cascade, CircuitBreaker, Fleet, ModelSpec, Reply, Router, Single, Tier
from tierwise.errors import AllModelsFailedError, ConfigError, LimitStateError, TierwiseError
from tierwise.ledger import SQLiteLedger
from tierwise.state import RedisState, SQLiteState, State
from tierwise.testing.provider import LoopbackProvider, Request, Usage
from tierwise.testing.provider import Reply as Said
from tierwise.testing.redis import RedisServer
from tierwise_ollama import OllamaBackend

from .programs import PATIENCE, go, line, soon, started
from .scene import CANARY

CAP = 1_000
EACH = 20
"""What each answer takes, in tokens: far less than is set aside for it."""

HELLO = Said(text="Hello.", usage=Usage(input=EACH - 2, output=2))
ACCOUNT = Budget(tokens=CAP, name="shared").key("", "tokens")
Mode = Literal["fail_closed", "fail_open"]


@dataclass
class Shared:
    """Where the budget is, for other processes and for this one."""

    provider: LoopbackProvider
    state: State
    store: str
    ledger: Path

    def program(self, calls: int, *, lease: float = 600.0) -> AbstractContextManager[subprocess.Popen[str]]:
        said: dict[str, Any] = {"provider": self.provider.url, "ledger": str(self.ledger), "store": self.store}
        return started("spender.py", **said, cap=CAP, calls=calls, lease=lease)

    @property
    def total(self) -> int:
        balance = self.state.balance(ACCOUNT)
        return balance.spent + balance.reserved

    def check(self, answered: int) -> None:
        """One row for each request, charged once; nothing is left set aside."""
        rows = [row for row in SQLiteLedger(self.ledger).rows() if row.state != "refused"]
        assert len(rows) == answered == self.provider.count()
        balance = self.state.balance(ACCOUNT)
        assert (balance.spent, balance.reserved) == (answered * EACH, 0)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server of the test's own, which it may stop."""
    try:
        server = RedisServer()
    except ConfigError as error:
        pytest.skip(str(error))  # where this is a failure, the tests of the state have failed already
    with server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def shared(request: pytest.FixtureRequest, provider: LoopbackProvider, tmp_path: Path) -> Iterator[Shared]:
    provider.on("small", HELLO)
    if request.param == "sqlite":
        store = str(tmp_path / "state.db")
        with SQLiteState(store, wait=PATIENCE) as state:
            yield Shared(provider, state, store, tmp_path / "ledger.db")
    else:
        store = request.getfixturevalue("server").url
        with RedisState(store, wait=PATIENCE) as state:
            yield Shared(provider, state, store, tmp_path / "ledger.db")


def test_fault_24_many_calls_of_many_processes_never_pass_a_budget(shared: Shared) -> None:
    totals: list[int] = []

    def looked(_: Request) -> Said:
        totals.append(shared.total)
        return HELLO

    shared.provider.on("small", looked)
    with ExitStack() as stack:
        programs = [stack.enter_context(shared.program(calls=60)) for _ in range(4)]
        go(*programs)
        said = [json.loads(line(running)) for running in programs]
    assert 0 < max(totals) <= CAP
    answered, refused = (sum(counts) for counts in zip(*said, strict=True))
    assert (answered > 0, refused > 0, answered + refused) == (True, True, 240)
    assert len(totals) == answered
    shared.check(answered)


def test_fault_27_what_a_killed_process_had_set_aside_lapses(shared: Shared) -> None:
    shared.provider.on("small", Said(stall=True))
    lease = 2.0
    with shared.program(calls=3, lease=lease) as doomed:
        began = time.monotonic()
        go(doomed)
        shared.provider.wait_until(lambda: shared.provider.open_calls == 3, PATIENCE)
        doomed.kill()
    assert soon(lambda: shared.total == 0)
    assert time.monotonic() - began >= lease, "it was set aside for so long"
    with SQLiteLedger(shared.ledger) as ledger:
        assert [row.state for row in ledger.rows()] == ["unknown"] * 3  # visible, for the provider may have billed


def test_fault_28_what_one_process_spent_another_cannot(shared: Shared) -> None:
    counts: list[tuple[int, int]] = []
    while not counts or counts[-1][0]:
        with shared.program(calls=30) as running:
            go(running)
            answered, refused = json.loads(line(running))
            counts.append((answered, refused))
    assert len(counts) > 1
    shared.check(sum(answered for answered, _ in counts))
    assert shared.total > CAP - 100  # what is left does not pay for one more


# The store is lost


def router(provider: LoopbackProvider, state: State, mode: Mode) -> Router:
    fleet = Fleet([Tier("small", ModelSpec("ollama:small", price=FREE))])
    return Router(
        fleet,
        strategy=Single(),
        backends={"ollama": OllamaBackend(provider.url)},
        limits=[Budget(tokens=CAP, name="shared")],
        state=state,
        on_state_loss=mode,
    )


def asked(router: Router, way: str, prompt: str = "Say hello.", **fields: Any) -> Reply:
    if way == "run":
        return router.run(prompt, session="s", max_output_tokens=20, **fields)
    return asyncio.run(router.arun(prompt, session="s", max_output_tokens=20, **fields))


@contextmanager
def locked(path: Path) -> Generator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def down(server: RedisServer) -> Generator[None]:
    server.stop()
    yield
    server.start()


@pytest.fixture(params=["sqlite", "redis"])
def losing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[State, Callable[[], Any]]]:
    """A state, and what takes its store away for as long as the block lasts."""
    if request.param == "sqlite":
        with SQLiteState(tmp_path / "state.db", wait=0.2) as state:
            yield state, lambda: locked(tmp_path / "state.db")
    else:
        server: RedisServer = request.getfixturevalue("server")
        with RedisState(server.url, wait=PATIENCE) as state:
            yield state, lambda: down(server)


@pytest.mark.parametrize("way", ["run", "arun"])
@pytest.mark.parametrize("mode", ["fail_closed", "fail_open"])
def test_fault_26_a_lost_store_means_what_was_chosen_and_comes_back(
    provider: LoopbackProvider, losing: Any, mode: Mode, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    state, lost = losing
    provider.on("small", HELLO)
    asks = router(provider, state, mode)
    assert asked(asks, way).text == "Hello."
    with caplog.at_level(logging.WARNING, logger="tierwise"), lost():
        if mode == "fail_open":
            reply = asked(asks, way)
            assert reply.text == "Hello."
            assert "without its limits" in str(reply.receipt) + str(reply.statements)
        else:
            with pytest.raises(AllModelsFailedError) as failed:
                asked(asks, way)
            assert [type(outcome.error) for outcome in failed.value.outcomes] == [LimitStateError]
            assert provider.count() == 1
    assert "calls are refused" in caplog.text or "calls go without limits" in caplog.text
    assert asked(asks, way).text == "Hello."
    assert state.balance(ACCOUNT).reserved == 0


# Somebody reads the store


PROMPT = "Tell me of the harbour-master's daughter."
ANSWER = "She counts the herring-gulls."


@pytest.fixture(params=["sqlite", "redis"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[State, Callable[[], bytes]]]:
    """A state, and all bytes of its store."""
    if request.param == "sqlite":
        folder = tmp_path / "state"
        folder.mkdir()
        with SQLiteState(folder / "state.db") as state:
            yield state, lambda: b"".join(file.read_bytes() for file in folder.iterdir())
    else:
        import redis

        library: Any = redis
        server: RedisServer = request.getfixturevalue("server")
        with RedisState(server.url) as state, library.Redis.from_url(server.url) as client:
            yield state, lambda: b"".join(_texts(client))


def _texts(client: Any) -> Iterator[bytes]:
    for key in client.scan_iter():
        yield key
        kind = client.type(key)
        if kind == b"hash":
            yield b"".join(part for pair in client.hgetall(key).items() for part in pair)
        elif kind == b"zset":
            yield b"".join(client.zrange(key, 0, -1))
        else:
            assert kind == b"string", kind
            yield client.get(key)


@pytest.mark.parametrize("way", ["run", "arun"])
def test_fault_42_a_state_holds_no_words_and_no_credential(
    provider: LoopbackProvider, read: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, contents = read
    monkeypatch.setenv("OLLAMA_API_KEY", CANARY)
    during: list[bytes] = []

    def looked(answer: object) -> bool:
        during.append(contents())
        return False

    provider.on("small", Said(text=ANSWER), Said(status=500, error=f"cannot read {PROMPT!r} with {CANARY}"))
    provider.on("large", Said(status=401, error=f"bad key {CANARY}"))
    asks = Router(
        Fleet([Tier(name, ModelSpec(f"ollama:{name}", price=FREE, concurrency=2)) for name in ("small", "large")]),
        strategy=Cascade(looked),
        backends={"ollama": OllamaBackend(provider.url)},
        limits=[Budget(tokens=9_999, name="each", per="session"), Budget(tokens=9_999, tag="team:"), CircuitBreaker()],
        state=state,
    )
    for _ in range(2):
        with suppress(TierwiseError):
            asked(asks, way, PROMPT, tags=["team:b"])
    kept = b"".join([*during, contents()]).decode("latin-1")
    assert "each" in kept, "something is kept"
    for word in (*PROMPT.split(), *ANSWER.split(), CANARY):
        if len(word) > 4:
            assert word not in kept
