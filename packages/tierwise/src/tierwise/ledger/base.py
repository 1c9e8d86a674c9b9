"""Where rows are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from tierwise.attempt import Outcome
from tierwise.ledger.rows import Row
from tierwise.task import Task

__all__ = ["Ledger", "NoLedger", "Readable"]


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


@runtime_checkable
class Readable(Protocol):
    """A ledger whose rows can be read again: what `Router.receipt` needs."""

    def rows(self, *, run: str | None = None, session: str | None = None) -> Sequence[Row]:
        """The calls of a run, or of a session, in the order in which they began."""
        ...


class NoLedger:
    """Keeps nothing beyond the run; the receipt of its reply is complete all the same."""

    def begin(self, row: Row, task: Task) -> None:
        """See `Ledger`."""

    async def abegin(self, row: Row, task: Task) -> None:
        """See `Ledger`."""

    def settle(self, row: Row, outcome: Outcome | None = None) -> None:
        """See `Ledger`."""
