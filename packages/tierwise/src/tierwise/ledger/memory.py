"""The ledger of one process's latest runs."""

from __future__ import annotations

import threading
from collections import OrderedDict

from tierwise.attempt import Outcome
from tierwise.figures import check_figure
from tierwise.ledger.rows import Row
from tierwise.task import Task

__all__ = ["MemoryLedger"]


class MemoryLedger:
    """Keeps the rows of the latest runs in memory, so that their receipts can be asked for without any file.

    No prompt and no answer is kept. A run that is under way is never dropped: while more than `max_runs` of them are,
    all of them are kept.

    Args:
        max_runs: How many runs are kept; those that began first are dropped first.
        content: Keep what may quote a prompt or an answer too: evidence of verifiers, and texts of errors.

    Raises:
        ConfigError: `max_runs` is not above zero.
    """

    def __init__(self, max_runs: int = 1_000, *, content: bool = False) -> None:
        check_figure("max_runs", max_runs, whole=True)
        self.max_runs = max_runs
        self.content = content
        self._runs: OrderedDict[str, dict[str, Row]] = OrderedDict()
        self._lock = threading.RLock()
        """Reentrant: the garbage collector may close a stream that was abandoned while a row of another is written."""

    def begin(self, row: Row, task: Task) -> None:
        """See `Ledger`."""
        self.settle(row)

    async def abegin(self, row: Row, task: Task) -> None:
        """See `Ledger`."""
        self.settle(row)

    def settle(self, row: Row, outcome: Outcome | None = None) -> None:
        """See `Ledger`."""
        row = row if self.content else row.plain
        with self._lock:
            run = self._runs.get(row.run_id)
            if run is None:
                run = self._runs[row.run_id] = {}
                if len(self._runs) > self.max_runs:
                    self._drop(row.run_id)
            run[row.call_id] = row

    def rows(self, *, run: str | None = None, session: str | None = None) -> list[Row]:
        """The calls that are kept, in the order in which they began.

        Args:
            run: Only those of this run.
            session: Only those of this session.
        """
        with self._lock:
            runs = self._runs.values() if run is None else [self._runs.get(run, {})]
            found = [row for kept in runs for row in kept.values() if session in (None, row.session)]
        return sorted(found, key=lambda row: row.started_at)

    def _drop(self, newest: str) -> None:
        """Drops the oldest run that has come to its end, if one has."""
        for run_id, rows in self._runs.items():
            if run_id != newest and "intent" not in [row.state for row in rows.values()]:
                del self._runs[run_id]
                return
