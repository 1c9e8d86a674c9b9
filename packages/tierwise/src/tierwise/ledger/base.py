"""Where rows are kept."""

from __future__ import annotations

from typing import Protocol

from tierwise.flow import Outcome
from tierwise.ledger.rows import Row
from tierwise.task import Task

__all__ = ["Ledger", "NoLedger"]


class Ledger(Protocol):
    """Keeps a row for each call: an intent before it, settled after it.

    `begin` returns when the intent is durable, so that no call reaches a provider without a row. `settle` does not
    wait; it is called again when a verdict arrives.
    """

    def begin(self, row: Row, task: Task) -> None:
        """Writes the intent."""
        ...

    async def abegin(self, row: Row, task: Task) -> None:
        """The async twin of `begin`."""
        ...

    def settle(self, row: Row, outcome: Outcome | None = None) -> None:
        """Writes what came of the call."""
        ...


class NoLedger:
    """Keeps nothing beyond the run; its receipt is complete all the same."""

    def begin(self, row: Row, task: Task) -> None:
        """See `Ledger`."""

    async def abegin(self, row: Row, task: Task) -> None:
        """See `Ledger`."""

    def settle(self, row: Row, outcome: Outcome | None = None) -> None:
        """See `Ledger`."""
