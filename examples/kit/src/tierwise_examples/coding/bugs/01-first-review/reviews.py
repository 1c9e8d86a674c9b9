"""Stars that customers give to articles, and what the shop shows of them."""

from __future__ import annotations

MOST = 5


def valid(stars: int) -> bool:
    """Whether a customer may give so many stars."""
    return 1 <= stars <= MOST


def average(ratings: list[int]) -> float:
    """The average of all ratings, with one digit; 0.0 where nobody has rated yet."""
    return round(sum(ratings) / len(ratings), 1)


def bar(value: float) -> str:
    """The rating as a bar of five signs, e.g. `***--`."""
    full = round(value)
    return "*" * full + "-" * (MOST - full)


def histogram(ratings: list[int]) -> dict[int, int]:
    """How many customers gave how many stars, the best first."""
    return {stars: ratings.count(stars) for stars in range(MOST, 0, -1)}
