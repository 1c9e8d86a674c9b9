"""Ids that sort by time and do not collide across processes."""

from __future__ import annotations

import os
import time

__all__ = ["fraction", "new_id"]


def new_id() -> str:
    """24 hexadecimal digits: milliseconds since 1970, then 48 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(6).hex()}"


def fraction(id_: str) -> float:
    """A number from 0 up to 1 that is the id's own: what spreads calls evenly, and is the same for the same call."""
    return int(id_[-8:], 16) / 2**32
