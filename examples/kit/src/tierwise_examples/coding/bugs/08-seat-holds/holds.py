"""Holds on seats: a customer who is paying keeps the seat for a while."""

from __future__ import annotations

from dataclasses import dataclass

HOLD = 600
"""Seconds."""


@dataclass(frozen=True)
class Hold:
    """Somebody is paying for a seat."""

    customer: str
    until: int


class Holds:
    """The holds of one performance. Times are seconds on any one clock."""

    def __init__(self) -> None:
        self._by_seat: dict[str, Hold] = {}

    def holder(self, seat: str, now: int) -> str | None:
        """Who holds the seat; None if nobody does."""
        hold = self._by_seat.get(seat)
        return hold.customer if hold else None

    def place(self, seat: str, customer: str, now: int) -> bool:
        """Holds a seat, or holds it longer for the same customer; gives whether that was possible."""
        if self.holder(seat, now) not in (None, customer):
            return False
        self._by_seat[seat] = Hold(customer, now + HOLD)
        return True

    def release(self, seat: str, customer: str) -> None:
        """Ends a hold, if it is this customer's."""
        hold = self._by_seat.get(seat)
        if hold and hold.customer == customer:
            del self._by_seat[seat]

    def active(self, now: int) -> int:
        """How many seats are held."""
        return sum(hold.until > now for hold in self._by_seat.values())
