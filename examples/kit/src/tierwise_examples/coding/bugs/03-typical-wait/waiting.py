"""How long callers wait on a telephone line, in seconds."""

from __future__ import annotations


def mean(waits: list[float]) -> float:
    """The mean of all waits; one very long wait weighs a lot."""
    return sum(waits) / len(waits)


def median(waits: list[float]) -> float:
    """The wait in the middle; of an even number of waits, the mean of the two in the middle."""
    ordered = sorted(waits)
    return ordered[len(ordered) // 2]


def share_within(waits: list[float], limit: float) -> float:
    """The share of callers who waited no longer than the limit, from 0 to 1."""
    return sum(wait <= limit for wait in waits) / len(waits)


def report(waits: list[float]) -> str:
    """One line for the display, e.g. `typical wait 35 s, 80 % within a minute`."""
    return f"typical wait {median(waits):.0f} s, {share_within(waits, 60):.0%} within a minute"
