"""State in one SQLite file, for all threads and processes of a machine."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar, cast

from tierwise.errors import ConfigError
from tierwise.figures import check_figure
from tierwise.state import rules
from tierwise.state.base import completed
from tierwise.state.book import SQLiteBook
from tierwise.state.claims import Balance, Claim, Denied, Granted, Observed, Taken
from tierwise.state.file import StateFile, Work
from tierwise.state.once import Once, begin_once, end_once
from tierwise.state.shared import KEPT_SECONDS, WEIGHT, Averages, Session, SharedState, storable

__all__ = ["SQLiteState"]

T = TypeVar("T")


class SQLiteState(SharedState):
    """State in a SQLite file: budgets, rates and circuits that all processes of one machine share.

    Each operation is one transaction, and survives the death of the process (`kill -9`). A file system of a network
    will not do: SQLite's locks do not reach across it. Use it as a context manager, or `close` it.

    Args:
        path: The file; it and its folder are made if they are not there, readable by their owner alone.
        wait: Seconds that an operation waits while other processes use the file; then it is a `StateError`.
        fresh: Seconds for which what was read of sessions and of how models have done is not read anew.
        brief: Seconds that such a reading may wait; then what was last heard holds.
        clock: Gives monotonic seconds, the same in every process of the machine.

    Raises:
        ConfigError: `path` has a value that it cannot have.
        StateError: The file cannot be opened, is damaged, belongs to another program or to a newer Tierwise.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        wait: float = 2.0,
        fresh: float = 1.0,
        brief: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if str(path) == ":memory:":
            raise ConfigError("a SQLite state needs a file; in memory: MemoryState()", setting="state", value=path)
        if not isinstance(cast("object", path), str | Path):
            raise ConfigError(f"path={path!r} must be that of a file: 'state.db'", setting="path", value=path)
        check_figure("wait", wait, zero=True)
        super().__init__(fresh=fresh, brief=brief)
        self.path = Path(path)
        self._file = StateFile(self.path, wait=wait, clock=clock)
        weakref.finalize(self, self._file.close)
        self._file.do(lambda book, now: None)

    def close(self) -> None:
        """Closes the file; further operations raise `StateError`."""
        self._file.close()

    def __enter__(self) -> SQLiteState:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def reserve(
        self,
        call_id: str,
        claims: Sequence[Claim],
        *,
        lease: float,
        least: int = 0,
        most: int = 0,
        wait: float = 0.0,
    ) -> Granted | Denied:
        """See `State`."""
        return self._file.do(_reserving(call_id, claims, lease, least, most, wait))

    def settle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """See `State`."""
        if claims:
            self._heard(observed, self._file.do(_settling(call_id, claims, taken, observed)))
        elif observed is not None:
            self.observe(observed)

    def lift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """See `State`."""
        self._file.do(lambda book, now: rules.lift(book, now, key, cap, keep))

    def balance(self, key: str) -> Balance:
        """See `State`."""
        return self._file.do(lambda book, now: _balance(book, now, key))

    def begin_once(self, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool = False) -> Once:
        """See `State`."""
        return self._file.do(_beginning(key, fingerprint, run_id, lease, again))

    def end_once(self, key: str, run_id: str, body: str | None, *, keep: float) -> None:
        """See `State`."""
        self._file.do(_ending(key, run_id, body, keep))

    async def areserve(
        self,
        call_id: str,
        claims: Sequence[Claim],
        *,
        lease: float,
        least: int = 0,
        most: int = 0,
        wait: float = 0.0,
    ) -> Granted | Denied:
        """See `State`."""
        return await self._queued(_reserving(call_id, claims, lease, least, most, wait))

    async def asettle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """See `State`."""
        work = _settling(call_id, claims, taken, observed)
        if claims:
            self._heard(observed, await self._queued(work))
        elif observed is not None and not self._outage.lasts:
            with self._outage:
                self._heard(observed, await self._queued(work))

    async def alift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """See `State`."""
        await self._queued(lambda book, now: rules.lift(book, now, key, cap, keep))

    async def abalance(self, key: str) -> Balance:
        """See `State`."""
        return await self._queued(lambda book, now: _balance(book, now, key))

    async def abegin_once(self, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool = False) -> Once:
        """See `State`."""
        return await self._queued(_beginning(key, fingerprint, run_id, lease, again))

    async def aend_once(self, key: str, run_id: str, body: str | None, *, keep: float) -> None:
        """See `State`."""
        await self._queued(_ending(key, run_id, body, keep))

    async def _queued(self, work: Work[T]) -> T:
        return await completed(asyncio.wrap_future(self._file.queued(work)))

    def _heard(self, observed: Observed | None, averages: Averages | None) -> None:
        if observed is not None and averages is not None:
            self._models.put(observed.model, averages)

    def _ask_session(self, session: str) -> Session | None:
        return self._file.do(lambda book, now: _session(book.db, now, session), wait=self._brief)

    def _tell_session(self, session: str, tier: str, prompt_tokens: int) -> None:
        kept = storable(session), tier, prompt_tokens
        self._file.do(lambda book, now: _keep(book.db, now, kept), wait=self._brief)

    def _ask_model(self, model: str) -> Averages:
        return self._file.do(lambda book, now: _averages(book.db, now, model), wait=self._brief)

    def _ask_circuit(self, circuit: str) -> float | None:
        return self._file.do(lambda book, now: rules.open_for(book.breakers.get(circuit), now), wait=self._brief)

    def _tell_observed(self, observed: Observed) -> Averages:
        return self._file.do(lambda book, now: _observe(book.db, now, observed), wait=self._brief)


def _reserving(
    call_id: str, claims: Sequence[Claim], lease: float, least: int, most: int, wait: float
) -> Work[Granted | Denied]:
    def reserve(book: SQLiteBook, now: float) -> Granted | Denied:
        book.forget(now)
        return rules.reserve(book, now, storable(call_id), claims, lease, least, most, wait)

    return reserve


def _settling(
    call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None
) -> Work[Averages | None]:
    def settle(book: SQLiteBook, now: float) -> Averages | None:
        rules.settle(book, now, storable(call_id), claims, taken)
        return None if observed is None else _observe(book.db, now, observed)

    return settle


def _beginning(key: str, fingerprint: str, run_id: str, lease: float, again: bool) -> Work[Once]:
    def begin(book: SQLiteBook, now: float) -> Once:
        book.forget(now)
        return begin_once(book, now, key, fingerprint, run_id, lease=lease, again=again)

    return begin


def _ending(key: str, run_id: str, body: str | None, keep: float) -> Work[None]:
    return lambda book, now: end_once(book, now, key, run_id, body, keep=keep)


def _balance(book: SQLiteBook, now: float, key: str) -> Balance:
    while rules.sweep(book, now):
        book.flush()
    account = book.accounts.get(key)
    return Balance() if account is None else Balance(account.spent, account.reserved, account.cap)


def _session(db: sqlite3.Connection, now: float, session: str) -> Session | None:
    query = "SELECT tier, prompt_tokens, at FROM sessions WHERE name = ?"
    row = db.execute(query, (storable(session),)).fetchone()
    return None if row is None else Session(row[0], row[1], now - row[2])


def _keep(db: sqlite3.Connection, now: float, kept: tuple[str, str, int]) -> None:
    db.execute("REPLACE INTO sessions VALUES (?, ?, ?, ?)", (*kept, now))
    db.execute("DELETE FROM sessions WHERE at < ?", (now - KEPT_SECONDS,))


def _averages(db: sqlite3.Connection, now: float, model: str) -> Averages:
    query = "SELECT latency, error_rate, at FROM models WHERE name = ?"
    row = db.execute(query, (storable(model),)).fetchone()
    return Averages() if row is None else Averages(row[0], rules.faded(row[1], now - row[2]))


def _observe(db: sqlite3.Connection, now: float, observed: Observed) -> Averages:
    old = _averages(db, now, observed.model)
    new = Averages(_moved(old.latency, observed.seconds), _moved(old.error_rate, float(observed.failed)))
    db.execute("REPLACE INTO models VALUES (?, ?, ?, ?)", (storable(observed.model), new.latency, new.error_rate, now))
    return new


def _moved(old: float | None, new: float | None) -> float | None:
    """A moving average, moved."""
    if old is None or new is None:
        return old if new is None else new
    return old + WEIGHT * (new - old)
