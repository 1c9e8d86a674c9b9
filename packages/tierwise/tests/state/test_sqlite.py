"""The state in a file: the contract, and what only a file can suffer."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tierwise import database
from tierwise.errors import ConfigError, StateError
from tierwise.state import Balance, Granted, Observed, Spend
from tierwise.state.sqlite import SQLiteState
from tierwise.testing.conformance.state import StateConformance
from tierwise.testing.conformance.state.suite import reserved

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


class TestSQLiteState(StateConformance):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def state(self, clock: Clock, tmp_path: Path) -> Iterator[SQLiteState]:
        with SQLiteState(tmp_path / "state.db", wait=60, brief=60, clock=clock) as state:
            yield state

    @pytest.fixture
    def passes(self, clock: Clock) -> Callable[[float], None]:
        return clock.passes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.db"


CLAIM = Spend("account", cap=100, amount=60)


def test_two_that_open_the_file_are_one_state(path: Path) -> None:
    with SQLiteState(path, fresh=0, brief=60) as one, SQLiteState(path, fresh=0, brief=60) as other:
        call_id = reserved(one, CLAIM)
        assert other.balance("account") == Balance(0, 60)
        other.settle(call_id, [CLAIM], [50], Observed("a:m", 1.5, failed=True))
        assert one.balance("account") == Balance(50)
        assert (one.latency("a:m"), one.error_rate("a:m")) == (1.5, pytest.approx(1.0, abs=0.1))
        one.keep_session("user", "small", 7)
        assert other.session_tier("user") == ("small", 7)
        assert 0 <= (other.session_idle("user") or 0) < 60
    with SQLiteState(path) as later:
        assert later.balance("account") == Balance(50)


def test_the_file_is_its_owners_alone(path: Path) -> None:
    with SQLiteState(path) as state:
        reserved(state, CLAIM)
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


def test_odd_keys(path: Path) -> None:
    with SQLiteState(path) as state:
        for name in ("", "a\0b", "\udc80", "'; DROP TABLE records", "ä\n" * 1_000):
            claim = Spend(name, cap=9, amount=1)
            state.settle(reserved(state, claim), [claim], [1])
            assert state.balance(name) == Balance(1)
            state.keep_session(name, "small", 1)
            assert state.session_tier(name) == ("small", 1)


def test_what_is_over_is_not_kept(path: Path) -> None:
    clock = Clock()
    with SQLiteState(path, clock=clock) as state:
        for i in range(50):
            claim = Spend(f"run {i}", cap=9, amount=1, keep=60)
            state.settle(reserved(state, claim, lease=60), [claim], [1])
            state.keep_session(f"session {i}", "small", 1)
        clock.passes(8 * 86_400)
        reserved(state, Spend("last", cap=99, amount=1))
        state.keep_session("last", "small", 1)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM records").fetchone() == (2,)  # the account and its reservation
            assert db.execute("SELECT count(*) FROM sessions").fetchone() == (1,)


def test_the_clock_goes_on_after_the_machine_began_anew(path: Path) -> None:
    clock = Clock()
    with SQLiteState(path, clock=clock) as state:
        reserved(state, CLAIM, lease=600)
        clock.passes(500)
        assert state.balance("account").reserved == 60
    after = Clock()
    after.now = 5.0
    with SQLiteState(path, clock=after) as state:
        assert state.balance("account").reserved == 60
        after.passes(90)
        assert state.balance("account").reserved == 60
        after.passes(20)
        assert state.balance("account") == Balance()


async def test_many_tasks_at_once(path: Path) -> None:
    with SQLiteState(path) as state:

        async def one(i: int) -> bool:
            claim = Spend("account", cap=50, amount=1)
            granted = isinstance(await state.areserve(f"call {i}", [claim], lease=600), Granted)
            if granted:
                await state.asettle(f"call {i}", [claim], [1])
            return granted

        assert sum(await asyncio.gather(*(one(i) for i in range(200)))) == 50
        assert await state.abalance("account") == Balance(50)
        assert sum("tierwise state" in thread.name for thread in threading.enumerate()) == 1
    assert not any("tierwise state" in thread.name for thread in threading.enumerate())


async def test_operations_that_share_a_transaction_see_what_the_others_did(path: Path) -> None:
    clock, free = Clock(), threading.Event()
    with SQLiteState(path, clock=clock) as state:
        reserved(state, CLAIM, lease=10)
        busy = state._file.queued(lambda book, now: free.wait())
        claim = Spend("account", cap=100, amount=10)
        asked = [asyncio.create_task(state.areserve(f"call {i}", [claim], lease=60)) for i in range(12)]
        wrong = asyncio.create_task(state.asettle("call 0", [claim], []))
        await asyncio.sleep(0.01)
        clock.passes(11)
        free.set()
        assert [isinstance(await one, Granted) for one in asked] == [True] * 10 + [False] * 2
        with pytest.raises(ValueError, match="one for each"):
            await wrong
        assert await state.abalance("account") == Balance(0, 100)
        assert busy.result()


def keep(state: SQLiteState, name: str) -> None:
    reserved(state, Spend(name, cap=9, amount=1))
    asyncio.run(state.areserve(f"async {name}", [Spend(name, cap=9, amount=1)], lease=600))


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_with_the_state(path: Path) -> None:
    with SQLiteState(path) as state:
        keep(state, "in the parent")
        child = multiprocessing.get_context("fork").Process(target=keep, args=(state, "in the child"))
        child.start()
        keep(state, "beside the child")
        child.join()
        assert child.exitcode == 0
        for name in ("in the parent", "in the child", "beside the child"):
            assert state.balance(name) == Balance(0, 2)


# What goes wrong


def test_a_damaged_file_is_named_with_the_mend(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 1_000)
    with pytest.raises(StateError, match=r"state\.db: .*no database: move it away"):
        SQLiteState(path)


def test_an_interrupt_when_a_transaction_has_just_begun_locks_nobody_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = database._until_free

    def interrupted(db: sqlite3.Connection, statement: str, wait: float) -> None:
        begins(db, statement, wait)
        raise KeyboardInterrupt

    with SQLiteState(path) as state, SQLiteState(path, wait=0) as another:
        with monkeypatch.context() as patch:
            patch.setattr(database, "_until_free", interrupted)
            with pytest.raises(KeyboardInterrupt):
                state.balance("account")
        assert another.balance("account") == state.balance("account") == Balance()


@pytest.mark.parametrize("body", ["", "no JSON", "7", "[1, 2, 3, 4, 5, 6, 7, 8, 9]"])
async def test_a_record_that_cannot_be_read_is_damage(path: Path, body: str) -> None:
    with SQLiteState(path) as state, closing(sqlite3.connect(path)) as db:
        claim = Spend("account", cap=100, amount=60)
        state.reserve("call", [claim], lease=60)
        with db:
            db.execute("UPDATE records SET body = ? WHERE kind = 'Account'", (body,))
        with pytest.raises(StateError, match=r"state\.db: its account 'account' cannot be read.*move it away"):
            state.balance("account")
        with pytest.raises(StateError, match="cannot be read"):
            await state.asettle("call", [claim], [60])
        with db:
            db.execute("DELETE FROM records")
        assert state.balance("account") == Balance()


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 99", "PRAGMA application_id = 7"])
def test_a_file_of_the_future_or_of_others_is_left_alone(path: Path, statement: str) -> None:
    SQLiteState(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
    before = path.read_bytes()
    with pytest.raises(StateError, match=r"upgrade tierwise|belongs to something else"):
        SQLiteState(path)
    assert path.read_bytes() == before


def test_memory_is_no_file() -> None:
    with pytest.raises(ConfigError, match="MemoryState"):
        SQLiteState(":memory:")


@pytest.mark.parametrize("wrong", [{"path": None}, {"wait": "2"}, {"fresh": -1}, {"brief": float("nan")}], ids=str)
def test_wrong_settings_are_refused(path: Path, wrong: dict[str, Any]) -> None:
    (setting,) = wrong
    given: dict[str, Any] = {"path": path} | wrong
    with pytest.raises(ConfigError) as caught:
        SQLiteState(**given)
    assert caught.value.setting == setting


async def test_a_file_that_stays_locked_is_an_error_and_then_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SQLiteState(path, wait=0.05, fresh=0) as state:
        state.keep_session("user", "small", 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StateError, match="another program holds the file"):
                reserved(state, CLAIM)
            with pytest.raises(StateError, match="another program holds the file"):
                await state.abalance("account")
            # What only policies ask for is no reason to fail: it is answered from what was last heard.
            assert state.session_tier("user") == ("small", 1)
            state.keep_session("user", "large", 2)
            state.settle("no reservation", [], [], Observed("a:m", 1.0))
            await state.asettle("no reservation", [], [], Observed("a:m", 1.0))
            assert state.session_tier("user") == ("large", 2)
            assert state.latency("a:m") is None
            other.execute("ROLLBACK")
        reserved(state, CLAIM)
        assert await state.abalance("account") == Balance(0, 60)
        await asyncio.sleep(0.11)  # for so long a lost store is let be
        assert state.session_tier("user") == ("small", 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert state.session_tier("user") == ("small", 1)
    # A file that is busy now and then is told of once, and not each time.
    assert [record.name for record in caplog.records] == ["tierwise.state"]


def test_a_file_that_is_gone_is_no_reason_to_begin_at_zero(path: Path) -> None:
    with SQLiteState(path) as state:
        call_id = reserved(state, CLAIM)
        away = path.with_name("away.db")
        path.rename(away)
        for _ in range(2):
            with pytest.raises(StateError, match="put it back"):
                reserved(state, CLAIM)
        assert not path.exists()
        away.rename(path)
        state.settle(call_id, [CLAIM], [50])
        assert state.balance("account") == Balance(50)


def test_another_file_in_its_place_is_not_taken_for_it(path: Path) -> None:
    with SQLiteState(path) as state:
        reserved(state, CLAIM)
        path.rename(path.with_name("away.db"))
        SQLiteState(path).close()
        with pytest.raises(StateError, match="moved away or replaced"):
            reserved(state, CLAIM)


def test_a_closed_state_is_refused(path: Path) -> None:
    state = SQLiteState(path)
    state.close()
    with pytest.raises(StateError, match="closed"):
        reserved(state, CLAIM)
    with pytest.raises(StateError, match="closed"):
        asyncio.run(state.abalance("account"))
