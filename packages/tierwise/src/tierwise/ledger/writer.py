"""One thread that writes rows, many at a time: what waits while a transaction runs goes into the next one."""

from __future__ import annotations

import queue
import sqlite3
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from tierwise.attempt import Outcome
from tierwise.database import survives_forks
from tierwise.errors import LedgerError
from tierwise.ledger.database import connect, explained, transaction
from tierwise.ledger.processes import this_process
from tierwise.ledger.prompts import Prompts, load_key
from tierwise.ledger.rows import Row
from tierwise.ledger.schema import UPSERT, migrate, values
from tierwise.ledger.upkeep import purge, reconcile
from tierwise.task import Task

__all__ = ["Write", "Writer"]

_MOST = 1_000
"""The most rows that one transaction takes."""


@dataclass(slots=True)
class Write:
    """Something for the writer to do: a row to keep, or with none the request to come to an end of what is queued."""

    row: Row | None = None
    task: Task | None = None
    outcome: Outcome | None = None
    done: Future[None] | None = None
    last: bool = False
    failure: Exception | None = None
    """Why the row could not be written."""


class Writer:
    """Writes to one file from one thread of its own, which begins with the first row.

    Args:
        path: The file.
        content: Whether prompts, answers and what quotes them are kept.
        key: The key of the prompts' hash; see `load_key`.
        fsync: Whether each commit waits for the disk.
        lost: Called with an error and the number of rows that were lost to it.
        in_doubt: Called with the number of calls that dead processes left behind.
    """

    def __init__(
        self,
        path: Path,
        *,
        content: bool,
        key: bytes | str | None,
        fsync: bool,
        lost: Callable[[BaseException, int], None],
        in_doubt: Callable[[int], None],
    ) -> None:
        self._path = path
        self._content = content
        self._key = key
        self._fsync = fsync
        self._lost = lost
        self._in_doubt = in_doubt
        self._reset()
        survives_forks(self)

    def _reset(self) -> None:
        self._queue: queue.SimpleQueue[Write] = queue.SimpleQueue()
        self._gate = threading.RLock()
        """Held while something is put into the queue, so that nothing is put behind its end. Reentrant, as that of
        `MemoryLedger` is."""
        self._held = threading.Lock()
        """Held while the connection is in use."""
        self._db: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._process = this_process()
        self._prompts: Prompts | None = None

    def open(self) -> None:
        """Opens the file now and not with the first row.

        Raises:
            LedgerError: It is no ledger, or a newer Tierwise wrote it.
            sqlite3.Error: SQLite cannot open it.
            OSError: The system cannot open it.
        """
        with self._held:
            self._connection()

    def put(self, write: Write) -> None:
        """Queues something to do.

        Raises:
            LedgerError: The ledger is closed.
        """
        with self._gate:
            if self._closed:
                raise LedgerError(f"ledger {self._path} is closed")
            if self._thread is None:
                self._start()
            self._queue.put(write)

    def flush(self) -> None:
        """Waits until everything that was put has been written or lost."""
        with self._gate:
            if self._closed or self._thread is None or self._thread is threading.current_thread():
                return
            done: Future[None] = Future()
            self._queue.put(Write(done=done))
        done.result()

    def close(self) -> None:
        """Writes what is queued and ends the thread; further rows are refused."""
        with self._gate:
            thread, closed, self._closed = self._thread, self._closed, True
            if thread is not None and not closed:
                self._queue.put(Write(last=True))
        if thread is None:
            self.release()
        elif thread is not threading.current_thread():
            thread.join()

    def release(self) -> None:
        """Closes the connection; the next row opens it again."""
        with self._held:
            self._disconnect()

    def reconcile(self) -> int:
        """Marks the calls that dead processes left as intents, and gives their number.

        Raises:
            LedgerError: The file cannot be written.
        """
        try:
            with self._held:
                db = self._connection()
                with transaction(db):
                    return reconcile(db)
        except (sqlite3.Error, OSError) as error:
            raise explained(self._path, error) from error

    def purge(self, before: float, *, content_only: bool) -> int:
        """Deletes rows, or their content, so that nothing of it is left in the file.

        Args:
            before: Seconds since 1970; what began earlier goes. Calls under way stay.
            content_only: Keep the rows, and delete what only opted-in content keeps.

        Raises:
            LedgerError: The file cannot be written.
        """
        try:
            with self._held:
                return purge(self._connection(), before, content_only=content_only)
        except (sqlite3.Error, OSError) as error:
            raise explained(self._path, error) from error

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"tierwise ledger {self._path.name}", daemon=True)
        self._thread.start()
        if "multiprocessing.util" in sys.modules:  # its children end without atexit, and would lose what is queued
            from multiprocessing.util import Finalize

            Finalize(self, _close, args=(weakref.ref(self),), exitpriority=0)

    def _run(self) -> None:
        last = False
        while not last:
            batch = [self._queue.get()]
            while len(batch) < _MOST and not self._queue.empty():
                batch.append(self._queue.get())
            last = any(write.last for write in batch)
            self._write(batch)
        self.release()

    def _write(self, batch: list[Write]) -> None:
        try:
            self._commit(batch)
        except Exception as error:  # noqa: BLE001 - a writer that dies would let every caller wait for ever
            for write in batch:
                write.failure = write.failure or error
        for write in batch:
            if write.row is not None and write.failure is not None:
                self._lost(write.failure, 1)
        for write in batch:
            if write.done is None or not write.done.set_running_or_notify_cancel():
                continue
            if write.row is None or write.failure is None:
                write.done.set_result(None)
            else:
                write.done.set_exception(explained(self._path, write.failure))

    def _commit(self, batch: list[Write]) -> None:
        if all(write.row is None for write in batch):
            return
        with self._held:
            db = self._connection()
            rows = list(self._columns(batch))
            try:
                with transaction(db):
                    db.executemany(UPSERT, rows)
            except sqlite3.DatabaseError:
                self._disconnect()  # the file may have been replaced or mended by the next time
                raise

    def _columns(self, batch: list[Write]) -> Iterator[tuple[object, ...]]:
        for write in batch:
            if write.row is None:
                continue
            try:
                yield self._values(write, write.row)
            except Exception as error:  # noqa: BLE001 - one odd row is no reason to lose the others
                write.failure = error

    def _values(self, write: Write, row: Row) -> tuple[object, ...]:
        prompt = self._prompts.columns(write.task) if self._prompts is not None and write.task is not None else None
        return values(row, content=self._content, process=self._process, prompt=prompt, outcome=write.outcome)

    def _connection(self) -> sqlite3.Connection:
        if self._db is not None:
            return self._db
        db = connect(self._path, fsync=self._fsync)
        try:
            with transaction(db):
                migrate(db, str(self._path))
                key = load_key(self._path.with_name(f"{self._path.name}.key"), self._key)
                left = reconcile(db)
        except BaseException:
            db.close()
            raise
        self._prompts = Prompts(key, content=self._content)
        self._db = db
        if left:
            self._in_doubt(left)
        return db

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

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


def _close(ref: weakref.ref[Writer]) -> None:
    writer = ref()
    if writer is not None:
        writer.close()
