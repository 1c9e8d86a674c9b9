"""The requests that every benchmark sends: one text at three lengths, in characters."""

from __future__ import annotations

SENTENCE = "Compare the two plans step by step and say which one is cheaper for a team of five. "
LENGTHS = (150, 3_000, 31_000)


STEPS = (1, 10, 300)
"""Calls of a tool that an agent has made, and their results."""


def request(length: int) -> str:
    """A request of that many characters."""
    return (SENTENCE * (length // len(SENTENCE) + 1))[:length]
