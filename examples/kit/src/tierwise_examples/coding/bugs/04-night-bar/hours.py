"""Opening hours, as a venue enters them: one span a day, in minutes since midnight."""

from __future__ import annotations

from dataclasses import dataclass

MINUTES = 24 * 60


@dataclass(frozen=True)
class Hours:
    """From when to when a venue is open. One that closes at or after midnight has `closes` below `opens`."""

    opens: int
    closes: int


def parse_time(text: str) -> int:
    """Minutes since midnight of a text such as `18:30`."""
    hour, minute = (int(part) for part in text.split(":"))
    if not (0 <= hour < 24 and 0 <= minute < 60):
        raise ValueError(f"no time of day: {text}")
    return hour * 60 + minute


def parse_hours(text: str) -> Hours:
    """Hours of a text such as `18:30-23:00`."""
    opens, closes = text.split("-")
    return Hours(parse_time(opens.strip()), parse_time(closes.strip()))


def is_open(hours: Hours, now: int) -> bool:
    """Whether the venue is open at a minute of the day. It is open at `opens`, and closed at `closes`."""
    return hours.opens <= now < hours.closes


def length(hours: Hours) -> int:
    """Minutes that the venue is open."""
    return (hours.closes - hours.opens) % MINUTES


def describe(hours: Hours, now: int) -> str:
    """What a sign says."""
    return "open" if is_open(hours, now) else "closed"
