"""The ledger's file: opening it, and saying what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from tierwise import database
from tierwise.database import cause, mend, transaction
from tierwise.errors import LedgerError
from tierwise.ledger.schema import is_current, migrate

__all__ = ["cause", "connect", "explained", "reading", "transaction"]

BUSY_SECONDS = 5.0
"""How long a write waits for another process's."""


def explained(path: Path, error: BaseException) -> LedgerError:
    """The error as the ledger's own, with the mend where one is known."""
    if isinstance(error, LedgerError):
        return error
    return LedgerError(f"ledger {path}: {error}{mend(error, purge=', or purge the ledger')}")


def connect(path: Path, *, fsync: bool = False) -> sqlite3.Connection:
    """See `tierwise.database.connect`."""
    return database.connect(path, wait=BUSY_SECONDS, fsync=fsync)


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
