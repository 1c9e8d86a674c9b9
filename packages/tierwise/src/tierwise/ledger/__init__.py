"""What happened, what did it cost? `Ledger` and `Receipt`."""

from typing import TYPE_CHECKING

from tierwise.lazy import lazily
from tierwise.ledger.base import Ledger, NoLedger, Readable
from tierwise.ledger.memory import MemoryLedger
from tierwise.ledger.receipt import Receipt, Saving
from tierwise.ledger.rows import Row

if TYPE_CHECKING:
    from tierwise.ledger.sqlite import SQLiteLedger
else:
    __getattr__ = lazily(__name__, {"SQLiteLedger": "sqlite"})

__all__ = ["Ledger", "MemoryLedger", "NoLedger", "Readable", "Receipt", "Row", "SQLiteLedger", "Saving"]
