"""The part of a request that heuristics read."""

from __future__ import annotations

__all__ = ["HEAD", "TAIL", "window"]

HEAD = 400
TAIL = 200


def window(text: str, head: int = HEAD, tail: int = TAIL) -> str:
    """The head and the tail of a text, in characters: what a decision reads does not grow with the request."""
    if len(text) <= head + tail:
        return text
    return f"{text[:head]}\n{text[-tail:]}"
