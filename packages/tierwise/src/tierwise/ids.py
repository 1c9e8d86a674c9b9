"""Ids that sort by time and do not collide across processes."""

from __future__ import annotations

import os
import time

__all__ = ["fraction", "new_id", "next_id"]

_RANDOM_DIGITS = 12
_STEP = 0x9E37_9E37_79B9
"""Odd, so that no id of a series comes again; near the golden ratio, so that neighbours lie far apart."""


def new_id() -> str:
    """24 hexadecimal digits: milliseconds since 1970, then 48 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(6).hex()}"


def next_id(first: str, nth: int) -> str:
    """A new id of a series whose random bits were drawn once, with its first.

    Two ids of different series are as unlikely to be the same as two that were drawn each by itself.

    Args:
        first: What `new_id` gave.
        nth: The place in the series: 1 for the next after the first.
    """
    bits = (int(first[-_RANDOM_DIGITS:], 16) + nth * _STEP) % (1 << 4 * _RANDOM_DIGITS)
    return f"{time.time_ns() // 1_000_000:012x}{bits:012x}"


def fraction(id_: str) -> float:
    """A number from 0 up to 1 that is the id's own: what spreads calls evenly, and is the same for the same call."""
    return int(id_[-8:], 16) / 2**32
