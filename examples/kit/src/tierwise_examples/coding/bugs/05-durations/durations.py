"""Durations as people write them: `90s`, `15m`, `1h 30m`, `2d`."""

from __future__ import annotations

import re

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_PART = re.compile(r"(\d+)\s*([a-z])")


def parse(text: str) -> int:
    """Seconds of a duration.

    Raises:
        ValueError: The text is no duration.
    """
    parts = _PART.findall(text.strip().lower())
    if not parts:
        raise ValueError(f"no duration: {text!r}")
    total = 0
    for number, unit in parts:
        if unit not in SECONDS:
            raise ValueError(f"unknown unit {unit!r} in {text!r}")
        total += int(number) * SECONDS[unit]
    return total


def show(seconds: int) -> str:
    """A duration in its two largest units, e.g. `1h 30m`."""
    if seconds < 60:
        return f"{seconds}s"
    parts: list[str] = []
    for unit, size in sorted(SECONDS.items(), key=lambda item: -item[1]):
        count, seconds = divmod(seconds, size)
        parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def longest(texts: list[str]) -> str:
    """The text of the longest of several durations."""
    return max(texts, key=parse)
