"""Prices of a small web shop. All amounts are whole cents."""

from __future__ import annotations

from dataclasses import dataclass

FREE_SHIPPING_FROM = 5_000
SHIPPING = 490


@dataclass(frozen=True)
class Line:
    """One line of a basket."""

    article: str
    price: int
    count: int = 1


def subtotal(lines: list[Line]) -> int:
    """The price of all lines, without shipping."""
    return sum(line.price * line.count for line in lines)


def shipping(amount: int) -> int:
    """The cost of shipping for a basket of this amount. From FREE_SHIPPING_FROM on it is free."""
    if amount > FREE_SHIPPING_FROM:
        return 0
    return SHIPPING


def discount(amount: int, percent: int) -> int:
    """A percentage of an amount, rounded down to whole cents."""
    return amount * percent // 100


def total(lines: list[Line], percent: int = 0) -> int:
    """What the customer pays: the lines, less the discount, plus shipping."""
    amount = subtotal(lines)
    amount -= discount(amount, percent)
    return amount + shipping(amount)
