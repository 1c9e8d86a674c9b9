"""Sells the seats of one performance."""

from __future__ import annotations

from collections.abc import Iterable

from holds import Holds


class SoldError(Exception):
    """The seat cannot be sold to this customer."""


class Performance:
    """Seats, who holds them and who has bought them.

    Args:
        seats: The seats' names.
    """

    def __init__(self, seats: Iterable[str]) -> None:
        self._seats = list(seats)
        self._sold: dict[str, str] = {}
        self._holds = Holds()

    def hold(self, seat: str, customer: str, now: int) -> bool:
        """Holds a seat while the customer pays; gives whether that was possible."""
        if seat not in self._seats or seat in self._sold:
            return False
        return self._holds.place(seat, customer, now)

    def buy(self, seat: str, customer: str, now: int) -> None:
        """Sells a seat to the customer who holds it.

        Raises:
            SoldError: The customer does not hold it, or not any more.
        """
        if self._holds.holder(seat, now) != customer:
            raise SoldError(f"{customer} does not hold {seat}")
        self._sold[seat] = customer

    def free(self, now: int) -> int:
        """How many seats are neither sold nor held."""
        return len(self._seats) - len(self._sold) - self._holds.active(now)

    def owner(self, seat: str) -> str | None:
        """Who has bought the seat; None if nobody has."""
        return self._sold.get(seat)
