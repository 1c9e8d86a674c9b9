"""What happened, what did it cost? `Ledger` and `Receipt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tierwise.ledger.base import Ledger, NoLedger
from tierwise.ledger.receipt import Receipt, Saving
from tierwise.ledger.rows import Row

if TYPE_CHECKING:
    from tierwise.ledger.sqlite import SQLiteLedger

__all__ = ["Ledger", "NoLedger", "Receipt", "Row", "SQLiteLedger", "Saving"]


def __getattr__(name: str) -> Any:
    """`SQLiteLedger`, whose imports are only paid for where it is used."""
    if name == "SQLiteLedger":
        from tierwise.ledger.sqlite import SQLiteLedger

        return SQLiteLedger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
