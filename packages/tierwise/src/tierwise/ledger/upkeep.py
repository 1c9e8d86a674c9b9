"""What is done to a ledger's file beside writing rows: settling doubts, and forgetting."""

from __future__ import annotations

import sqlite3

from tierwise.errors import LedgerError
from tierwise.ledger.database import transaction
from tierwise.ledger.processes import has_died
from tierwise.ledger.schema import DELETE, FORGET

__all__ = ["purge", "reconcile"]


def reconcile(db: sqlite3.Connection) -> int:
    """Marks the calls that dead processes left as intents, inside a transaction, and gives their number."""
    left = db.execute("SELECT DISTINCT process FROM calls WHERE state = 'intent'").fetchall()
    count = 0
    for (process,) in left:
        if has_died(process):
            mark = "UPDATE calls SET state = 'unknown' WHERE state = 'intent' AND process = ?"
            count += db.execute(mark, (process,)).rowcount
    return count


def purge(db: sqlite3.Connection, before: float, *, content_only: bool) -> int:
    """Deletes rows, or their content, so that nothing of it is left in the file.

    Raises:
        LedgerError: Another process's reading keeps the old pages.
    """
    db.execute("PRAGMA secure_delete = ON")
    with transaction(db):
        count = db.execute(FORGET if content_only else DELETE, (before,)).rowcount
    db.execute("PRAGMA secure_delete = OFF")
    for statement in ("PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        busy = db.execute(statement).fetchone()
    if busy and busy[0]:
        raise LedgerError(
            f"{count} rows are purged, but another process that is reading keeps their old pages in the write-ahead "
            "log: purge again when it has ended"
        )
    return count
