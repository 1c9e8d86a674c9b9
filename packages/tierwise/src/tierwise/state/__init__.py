"""What changes over time: spend, slots, rates, circuits, sessions, how models have done. One `State` for a router."""

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
)
from tierwise.state.memory import MemoryState

__all__ = [
    "Balance",
    "Circuit",
    "Claim",
    "Denied",
    "Granted",
    "Health",
    "MemoryState",
    "Observed",
    "Rate",
    "Signal",
    "Slot",
    "Spend",
    "State",
    "Taken",
]
