"""A ledger in one SQLite file, for all threads and processes of a machine."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import weakref
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Literal

from tierwise.attempt import Outcome
from tierwise.errors import ConfigError, LedgerError
from tierwise.ledger.database import cause, explained
from tierwise.ledger.reading import Moment, SQLiteReader, timestamp
from tierwise.ledger.rows import Row
from tierwise.ledger.writer import Write, Writer
from tierwise.task import Task

__all__ = ["SQLiteLedger"]

_log = logging.getLogger("tierwise.ledger")


class SQLiteLedger(SQLiteReader):
    """Keeps every call in a SQLite file: an intent that is durable before the call is made, and what came of it.

    An intent outlives the death of the process (`kill -9`). What a dead process left as an intent is marked `unknown`
    when the file is next opened: the provider may have answered and billed. Several processes of one machine may share
    the file. Use it as a context manager, or `close` it; what is queued is written at the process's end in any case.

    Without `content`, no word of a prompt or an answer is kept, nor evidence that may quote them, nor a provider's
    error text: a keyed hash and the length of the prompt, the error's type, the verifier with score and threshold.

    Args:
        path: The file; it and its folder are made if they are not there, readable by their owner alone.
        content: Keep the text of prompts and answers, and what may quote them.
        key: The key of the prompts' hash; else the environment's `TIERWISE_LEDGER_KEY`, else that of the file
            `<path>.key`, which is made if it is not there.
        on_error: What a full disk, a damaged file, or one that another program locks for 5 seconds means. `warn`: the
            call is made all the same, the loss is logged once for each cause and counted in `lost`. `raise`: no call is
            made without its row.
        fsync: Wait for the disk, so that an intent outlives a power cut too; slower.

    Raises:
        ConfigError: `on_error` or `path` has a value that it cannot have.
        LedgerError: The file belongs to another program or to a newer Tierwise; or, with `on_error="raise"`, it cannot
            be opened.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        content: bool = False,
        key: bytes | str | None = None,
        on_error: Literal["warn", "raise"] = "warn",
        fsync: bool = False,
    ) -> None:
        if on_error not in ("warn", "raise"):
            raise ConfigError(f"on_error={on_error!r} must be 'warn' or 'raise'", setting="on_error", value=on_error)
        if str(path) == ":memory:":
            raise ConfigError("a ledger needs a file: give a path, or no ledger", setting="ledger", value=path)
        super().__init__(path)
        self.content = content
        self._raises = on_error == "raise"
        self._losses = Losses(
            self.path, "calls are refused" if self._raises else "calls are made without being recorded"
        )
        self._writer = Writer(
            self.path, content=content, key=key, fsync=fsync, lost=self._losses.add, in_doubt=self._losses.left
        )
        weakref.finalize(self, self._writer.close)
        try:
            self._writer.open()
        except (sqlite3.Error, OSError) as error:
            if self._raises:
                raise explained(self.path, error) from error
            self._losses.add(error, 0)

    @property
    def lost(self) -> int:
        """How many rows could not be written since the ledger was opened."""
        return self._losses.count

    def begin(self, row: Row, task: Task) -> None:
        """Writes the intent; returns when it is durable.

        Raises:
            LedgerError: It cannot be written, and `on_error` is `raise`.
        """
        try:
            self._put(row, task).result()
        except LedgerError:
            if self._raises:
                raise

    async def abegin(self, row: Row, task: Task) -> None:
        """The async twin of `begin`."""
        try:
            await asyncio.wrap_future(self._put(row, task))
        except LedgerError:
            if self._raises:
                raise

    def settle(self, row: Row, outcome: Outcome | None = None) -> None:
        """Queues what came of the call, and does not wait."""
        try:
            self._writer.put(Write(row, outcome=outcome))
        except LedgerError as error:
            self._losses.add(error, 1)

    def flush(self) -> None:
        """Waits until what is queued is written.

        Raises:
            LedgerError: Rows have been lost since the last flush, and `on_error` is `raise`.
        """
        self._writer.flush()
        error = self._losses.since_flush()
        if error is not None and self._raises:
            raise explained(self.path, error) from error

    def close(self) -> None:
        """Writes what is queued and closes the file."""
        self._writer.close()

    def __enter__(self) -> SQLiteLedger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def reconcile(self) -> int:
        """Marks as `unknown` what processes that have died left as intents, as opening the file does.

        Returns:
            The number of calls.

        Raises:
            LedgerError: The file cannot be written.
        """
        return self._writer.reconcile()

    def purge(self, *, before: Moment, content_only: bool = False) -> int:
        """Deletes old calls, or their content alone, so that nothing of it is left in the file.

        Args:
            before: What began earlier goes; `math.inf` for everything. Calls under way stay.
            content_only: Keep the rows, and delete only prompts, answers, quoting evidence and error texts.

        Returns:
            The number of rows that were deleted, or that held content.

        Raises:
            LedgerError: The file cannot be written, or another process's reading keeps the old pages.
        """
        self._catch_up()
        return self._writer.purge(timestamp(before), content_only=content_only)

    def _catch_up(self) -> None:
        self._writer.flush()

    def _put(self, row: Row, task: Task) -> Future[None]:
        done: Future[None] = Future()
        try:
            self._writer.put(Write(row, task, done=done))
        except LedgerError as error:
            self._losses.add(error, 1)
            raise
        return done


class Losses:
    """What could not be written: counted, and logged once for each cause."""

    def __init__(self, path: Path, meaning: str) -> None:
        self.count = 0
        self._meaning = meaning
        self._path = path
        self._causes: set[str] = set()
        self._latest: BaseException | None = None
        self._lock = threading.Lock()

    def add(self, error: BaseException, rows: int) -> None:
        """Counts rows that were lost to an error."""
        with self._lock:
            self.count += rows
            self._latest = error if rows else self._latest
            known = cause(error) in self._causes
            self._causes.add(cause(error))
        if not known:
            _log.warning("%s; %s", explained(self._path, error), self._meaning)

    def left(self, calls: int) -> None:
        """Reports what dead processes left behind."""
        _log.warning(
            "ledger %s: %d call%s of a process that died marked unknown: the provider may have answered and billed",
            self._path,
            calls,
            "s" if calls > 1 else "",
        )

    def since_flush(self) -> BaseException | None:
        """The latest error since this was last asked."""
        with self._lock:
            latest, self._latest = self._latest, None
        return latest
