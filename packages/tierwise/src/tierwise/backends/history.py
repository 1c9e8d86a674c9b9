"""A conversation that one provider's model has begun, made fit for another's."""

from __future__ import annotations

from collections.abc import Sequence

from tierwise.task import Message

__all__ = ["portable"]


def portable(messages: Sequence[Message], *, provider: str) -> tuple[Message, ...]:
    """See below."""
    return tuple(messages)
