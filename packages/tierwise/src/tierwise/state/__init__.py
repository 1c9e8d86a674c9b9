"""What changes over time: spend, slots, rates, circuits, sessions, how models have done. One `State` for a router."""

from typing import TYPE_CHECKING

from tierwise.lazy import lazily
from tierwise.state.base import State
from tierwise.state.claims import (
    Balance,
    Circuit,
    Claim,
    Denied,
    Granted,
    Health,
    Observed,
    Rate,
    Signal,
    Slot,
    Spend,
    Taken,
    Turn,
)

if TYPE_CHECKING:
    from tierwise.state.memory import MemoryState
    from tierwise.state.once import Once
    from tierwise.state.redis import RedisState
    from tierwise.state.sqlite import SQLiteState
else:
    __getattr__ = lazily(
        __name__, {"MemoryState": "memory", "Once": "once", "RedisState": "redis", "SQLiteState": "sqlite"}
    )

__all__ = [
    "Balance",
    "Circuit",
    "Claim",
    "Denied",
    "Granted",
    "Health",
    "MemoryState",
    "Observed",
    "Once",
    "Rate",
    "RedisState",
    "SQLiteState",
    "Signal",
    "Slot",
    "Spend",
    "State",
    "Taken",
    "Turn",
]
