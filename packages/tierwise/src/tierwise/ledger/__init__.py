"""What happened, what did it cost? `Ledger` and `Receipt`."""

from tierwise.ledger.base import Ledger, NoLedger
from tierwise.ledger.receipt import Receipt, Saving
from tierwise.ledger.rows import Row

__all__ = ["Ledger", "NoLedger", "Receipt", "Row", "Saving"]
