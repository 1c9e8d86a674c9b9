"""What a router's ledger still knows of a run, or of a session."""

from __future__ import annotations

from collections.abc import Sequence

from tierwise.errors import LedgerError
from tierwise.ledger.base import Ledger, Readable
from tierwise.ledger.memory import MemoryLedger
from tierwise.ledger.rows import Row

__all__ = ["recalled"]


def recalled(ledger: Ledger, runs: Sequence[str], session: str | None) -> list[Row]:
    """The rows of the runs in the order given, then those of the session that are not among them.

    Raises:
        LedgerError: Nothing is asked for, the ledger cannot be read, or it has no such run or session.
    """
    if not runs and session is None:
        raise LedgerError(
            "receipt() needs the ids of runs, receipt(reply.run_id), or a session, receipt(session='...')"
        )
    if not isinstance(ledger, Readable):
        raise LedgerError(
            f"ledger={type(ledger).__name__} cannot be read: it has no rows(run=, session=). "
            "Leave `ledger` out, or give a path for one in SQLite"
        )
    found: dict[str, Row] = {}
    for run in runs:
        found |= _known(ledger.rows(run=run), f"run {run!r}", ledger)
    if session is not None:
        found |= _known(ledger.rows(session=session), f"session {session!r}", ledger)
    return list(found.values())


def _known(rows: Sequence[Row], what: str, ledger: Readable) -> dict[str, Row]:
    if not rows:
        raise LedgerError(f"the ledger has no call of {what}: {_mend(ledger)}")
    return {row.call_id: row for row in rows}


def _mend(ledger: Readable) -> str:
    if isinstance(ledger, MemoryLedger):
        return (
            f"MemoryLedger(max_runs={ledger.max_runs}) keeps the latest {ledger.max_runs} runs of this process; give "
            "`ledger` a larger one, or a path for one in SQLite"
        )
    return "it is of a router with another ledger, or it was purged"
