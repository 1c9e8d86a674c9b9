"""A SQLite file that several threads and processes write to: opening it, keeping it whole, saying what is wrong."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

__all__ = ["Forkable", "cause", "connect", "mend", "migrate", "survives_forks", "transaction"]

_MENDS = (
    ("SQLITE_FULL", "the disk is full: make room{purge}"),
    ("SQLITE_BUSY", "another program holds the file: end it, or give this one a path of its own"),
    ("SQLITE_NOTADB", "the file is no database: move it away, and a new one is made"),
    ("SQLITE_CORRUPT", "the file is damaged: move it away, and a new one is made"),
    ("SQLITE_READONLY", "the file or its folder may not be written: change that, or give another path"),
    ("SQLITE_CANTOPEN", "the file cannot be opened: check that its folder exists and may be written"),
)

_FIRST_NAP, _LONGEST_NAP = 0.0001, 0.002
"""Seconds between two tries at a file that another process holds."""


def cause(error: BaseException) -> str:
    """What tells one cause from another: SQLite's own name for it, or the error's class."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__


def mend(error: BaseException, *, purge: str = "") -> str:
    """What is to be done about an error of SQLite, behind a colon; empty if that is not known.

    Args:
        error: The error.
        purge: What else makes room on a full disk.
    """
    name = cause(error)
    return next((f": {text.format(purge=purge)}" for prefix, text in _MENDS if name.startswith(prefix)), "")


def connect(path: Path, *, wait: float, fsync: bool = False, make: bool = True) -> sqlite3.Connection:
    """Opens the file in WAL mode, and makes it, readable by its owner alone, if it is not there.

    Args:
        path: The file.
        wait: Seconds that an operation waits for another process's.
        fsync: Whether each commit waits for the disk.
        make: Whether the file may be made.

    Raises:
        sqlite3.Error: The file cannot be opened or is no database.
        OSError: The folder cannot be made, or the file is not there and may not be made.
    """
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | (os.O_CREAT if make else 0), 0o600))
    db = sqlite3.connect(path, timeout=wait, isolation_level=None, check_same_thread=False)
    try:
        _to_wal(db, wait)
        db.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        db.execute(f"PRAGMA fullfsync = {int(fsync)}")
    except BaseException:
        db.close()
        raise
    return db


def _to_wal(db: sqlite3.Connection, wait: float) -> None:
    """Switches to WAL; SQLite does not wait for other processes here, so that two may open a new file at once."""
    _until_free(db, "PRAGMA journal_mode = WAL", wait)


def _until_free(db: sqlite3.Connection, statement: str, wait: float) -> None:
    ends, nap = time.monotonic() + wait, _FIRST_NAP
    while True:
        try:
            db.execute(statement)
        except sqlite3.OperationalError as error:
            if not cause(error).startswith("SQLITE_BUSY") or time.monotonic() > ends:
                raise
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP)
        else:
            return


@contextmanager
def transaction(db: sqlite3.Connection, *, wait: float | None = None) -> Generator[None]:
    """A transaction that may write from its beginning: it waits for other processes there, and not in its middle.

    Args:
        db: The connection.
        wait: Seconds to wait, in short steps: fair where many processes write often and briefly. The connection must
            not wait by itself then. By default SQLite waits, as long as the connection says and in long steps.
    """
    try:
        # Within: if it is interrupted when it has just begun, it must not go on, for other processes wait for its end.
        if wait is None:
            db.execute("BEGIN IMMEDIATE")
        else:
            _until_free(db, "BEGIN IMMEDIATE", wait)
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def migrate(
    db: sqlite3.Connection, scripts: Sequence[str], application_id: int, fault: Callable[[str], Exception]
) -> None:
    """Brings the file's schema up to date, inside the transaction that the caller has begun.

    Args:
        db: The connection.
        scripts: The statements that lead from each version to the next, with semicolons between them.
        application_id: What SQLite's file header says of our file.
        fault: Makes the error of what is wrong with the file.

    Raises:
        Exception: The file is another program's, or a newer Tierwise wrote it.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != application_id and (owner or version or tables):
        raise fault("the file belongs to something else: give another path")
    if version > len(scripts):
        raise fault(
            f"the file has schema version {version}, this Tierwise knows up to {len(scripts)}: upgrade tierwise, or "
            "give another path"
        )
    if version == len(scripts):
        return
    for script in scripts[version:]:
        for statement in filter(str.strip, script.split(";")):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {application_id}")
    db.execute(f"PRAGMA user_version = {len(scripts)}")


class Forkable(Protocol):
    """Something with an open connection, which must not be open across a fork.

    SQLite's locks would be lost in one of the two processes.
    """

    def before_fork(self) -> None:
        """Closes the connection, and lets nobody open it until the fork is over."""
        ...

    def after_fork_in_parent(self) -> None:
        """Goes on."""
        ...

    def after_fork_in_child(self) -> None:
        """Begins anew: the threads of the parent are not there."""
        ...


_all: weakref.WeakSet[Forkable] = weakref.WeakSet()
_paused: list[Forkable] = []
_forking = threading.Lock()
"""Held during a fork, so that there is one at a time."""


def survives_forks(thing: Forkable) -> None:
    """Has it told of every fork, for as long as it lives."""
    with _forking:
        _all.add(thing)


def _before() -> None:
    _forking.acquire()
    _paused.extend(_all)
    for thing in _paused:
        thing.before_fork()


def _in_parent() -> None:
    while _paused:
        _paused.pop().after_fork_in_parent()
    _forking.release()


def _in_child() -> None:
    while _paused:
        _paused.pop().after_fork_in_child()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
