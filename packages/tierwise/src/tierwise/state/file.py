"""The file of a SQLite state: transactions, taken by turns, and a clock that all processes share."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

from tierwise.database import cause, connect, mend, migrate, survives_forks, transaction
from tierwise.errors import StateError
from tierwise.state.book import APPLICATION_ID, MIGRATIONS, SQLiteBook

__all__ = ["StateFile", "Work"]

T = TypeVar("T")

_BATCH = 100
"""The most operations that one transaction does."""

_PAGES = 4_000
"""How long the log of changes grows, in pages, before it is folded into the file, which waits for the disk."""

_TICK = 1.0
"""Seconds by which what the file knows of the time may lie behind."""


Work: TypeAlias = Callable[[SQLiteBook, float], T]
"""What is done in a transaction: it takes the records and the time in seconds."""


@dataclass(frozen=True, slots=True)
class _Queued:
    work: Work[Any]
    done: Future[Any]


class StateFile:
    """One connection to the file, for all threads of this process.

    Args:
        path: The file.
        wait: Seconds that an operation waits for its turn.
        clock: Gives monotonic seconds, the same in every process of the machine.
    """

    def __init__(self, path: Path, *, wait: float, clock: Callable[[], float]) -> None:
        self.path = path
        self._wait = wait
        self._clock = clock
        self._identity: tuple[int, int] | None = None
        """The file that was opened first. Another one in its place would begin with every account at zero."""
        self._closed = False
        self._reset()
        survives_forks(self)

    def _reset(self) -> None:
        self._held = threading.Lock()
        """Held while the connection is in use."""
        self._book: SQLiteBook | None = None
        self._gate = threading.Lock()
        """Held while something is put into the queue, so that nothing is put behind its end."""
        self._queue: SimpleQueue[_Queued | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, work: Work[T], *, wait: float | None = None) -> T:
        """Does something within a transaction, and gives what it returns.

        Args:
            work: Takes the records and the time in seconds.
            wait: Seconds to wait for its turn; by default those of the file.

        Raises:
            StateError: The file cannot be written.
        """
        [result] = self._do_all([work], self._wait if wait is None else wait)
        return result

    def queued(self, work: Work[T]) -> Future[T]:
        """Has it done by a thread of the file's own, in one transaction with all that waits there."""
        done: Future[T] = Future()
        with self._gate:
            if self._closed:
                raise self._error("it is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"tierwise state {self.path.name}", daemon=True)
                self._thread.start()
            self._queue.put(_Queued(work, done))
        return done

    def close(self) -> None:
        """Does what is queued and closes the file; further operations are refused."""
        with self._gate:
            thread, self._thread, self._closed = self._thread, None, True
            if thread is not None:
                self._queue.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._held:
            self._disconnect()

    def before_fork(self) -> None:
        """See `Forkable`."""
        self._held.acquire()
        self._disconnect()

    def after_fork_in_parent(self) -> None:
        """See `Forkable`."""
        self._held.release()

    def after_fork_in_child(self) -> None:
        """See `Forkable`."""
        self._reset()

    def _run(self) -> None:
        last = False
        while not last:
            batch = [self._queue.get()]
            while len(batch) < _BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            last = None in batch
            self._answer([queued for queued in batch if queued is not None])

    def _answer(self, batch: list[_Queued]) -> None:
        try:
            results = self._do_all([queued.work for queued in batch], self._wait)
        except Exception as error:  # noqa: BLE001 - raised again by those who wait for it
            alone = len(batch) == 1 or isinstance(error, StateError)
            for queued in batch:
                if alone:
                    queued.done.set_exception(error)
                else:
                    self._answer([queued])  # one that is wrong in itself is no reason to fail the others
            return
        for queued, result in zip(batch, results, strict=True):
            queued.done.set_result(result)

    def _do_all(self, works: Sequence[Work[Any]], wait: float) -> list[Any]:
        ends = time.monotonic() + wait
        if not self._held.acquire(timeout=wait):
            raise self._error("other threads of this process keep the file busy")
        try:
            book = self._opened_book()
            with transaction(book.db, wait=ends - time.monotonic()):
                book.clear()  # of what a transaction had read that failed
                now = self._now(book.db)
                results = [work(book, now) for work in works]
                book.flush()
            return results
        except (sqlite3.Error, OSError) as error:
            if not cause(error).startswith("SQLITE_BUSY"):
                self._disconnect()  # the file may have been mended by the next time
            raise self._error(f"{error}{mend(error)}") from error
        finally:
            self._held.release()

    def _error(self, message: str) -> StateError:
        return StateError(f"state {self.path}: {message}")

    def _opened_book(self) -> SQLiteBook:
        if self._closed:
            raise self._error("it is closed")
        if self._identity is not None and _identity(self.path) != self._identity:
            self._disconnect()
            raise self._error(
                "the file was moved away or replaced while it was in use: put it back; to begin anew, with nothing "
                "spent, end the programs that use it first"
            )
        if self._book is None:
            self._book = SQLiteBook(self._opened())
        return self._book

    def _opened(self) -> sqlite3.Connection:
        db = connect(self.path, wait=self._wait, make=self._identity is None)
        try:
            db.execute("PRAGMA busy_timeout = 0")
            db.execute(f"PRAGMA wal_autocheckpoint = {_PAGES}")
            with transaction(db, wait=self._wait):
                migrate(db, MIGRATIONS, APPLICATION_ID, self._error)
            self._identity = _identity(self.path)
        except BaseException:
            db.close()
            raise
        return db

    def _disconnect(self) -> None:
        if self._book is not None:
            self._book.db.close()
            self._book = None

    def _now(self, db: sqlite3.Connection) -> float:
        """Seconds since 1970 by a clock that only goes forward, and that nobody sets.

        It is the system's monotonic clock, and the file says how far ahead of it the time is. That clock begins anew
        when the machine does: the time goes on then where it was left, or at the present, whichever is later.
        """
        ticks = self._clock()
        row = db.execute("SELECT ahead, latest FROM clock").fetchone()
        if row is None:
            db.execute("INSERT INTO clock VALUES (0, 0)")
            ahead, latest = 0.0, ticks + 2 * _TICK
        else:
            ahead, latest = row
        now = ticks + ahead
        if now < latest - _TICK:
            ahead = float(round(max(latest, time.time()) - ticks))
            now = ticks + ahead
        elif now < latest + _TICK:
            return now
        db.execute("UPDATE clock SET ahead = ?, latest = ?", (ahead, now))
        return now


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from every other; `None` if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
