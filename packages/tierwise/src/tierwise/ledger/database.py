"""The ledger's file: opening it, and saying what is wrong with it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from tierwise.errors import LedgerError
from tierwise.ledger.schema import is_current, migrate

__all__ = ["cause", "connect", "explained", "reading", "transaction"]

BUSY_SECONDS = 5.0
"""How long a write waits for another process's."""

_MENDS = (
    ("SQLITE_FULL", "the disk is full: make room, or purge the ledger"),
    ("SQLITE_BUSY", "another program holds the file: end it, or give this one a path of its own"),
    ("SQLITE_NOTADB", "the file is no database: move it away, and a new one is made"),
    ("SQLITE_CORRUPT", "the file is damaged: move it away, and a new one is made"),
    ("SQLITE_READONLY", "the file or its folder may not be written: change that, or give another path"),
    ("SQLITE_CANTOPEN", "the file cannot be opened: check that its folder exists and may be written"),
)


def explained(path: Path, error: BaseException) -> LedgerError:
    """The error as the ledger's own, with the mend where one is known."""
    if isinstance(error, LedgerError):
        return error
    name = cause(error)
    mend = next((f": {text}" for prefix, text in _MENDS if name.startswith(prefix)), "")
    return LedgerError(f"ledger {path}: {error}{mend}")


def cause(error: BaseException) -> str:
    """What tells one cause from another: SQLite's own name for it, or the error's class."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__


def connect(path: Path, *, fsync: bool = False) -> sqlite3.Connection:
    """Opens the file in WAL mode, and makes it, readable by its owner alone, if it is not there.

    Args:
        path: The file.
        fsync: Whether each commit waits for the disk.

    Raises:
        sqlite3.Error: The file cannot be opened or is no database.
        OSError: The folder cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _to_wal(db)
        db.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        db.execute(f"PRAGMA fullfsync = {int(fsync)}")
    except BaseException:
        db.close()
        raise
    return db


def _to_wal(db: sqlite3.Connection) -> None:
    """Switches to WAL; SQLite does not wait for other processes here, so that two may open a new file at once."""
    ends = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not cause(error).startswith("SQLITE_BUSY") or time.monotonic() > ends:
                raise
            time.sleep(0.01)
        else:
            return


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """A transaction that may write from its beginning: it waits for other processes there, and not in its middle."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that cannot write, for as long as the block lasts.

    Raises:
        LedgerError: The file cannot be read, is no ledger, or a newer Tierwise wrote it.
    """
    if not path.exists():
        raise LedgerError(f"there is no ledger at {path}")
    try:
        with closing(connect(path)) as db:
            if not is_current(db):
                with transaction(db):
                    migrate(db, str(path))
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA query_only = ON")
            yield db
    except (sqlite3.Error, OSError) as error:
        raise explained(path, error) from error
