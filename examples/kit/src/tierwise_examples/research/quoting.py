"""Other people's words inside a prompt: they are data, whatever they say."""

from __future__ import annotations

__all__ = ["as_data"]

_BRACKETS = str.maketrans("<>[]", "()()")


def as_data(text: str) -> str:
    """Other people's words in one line, without what fences, citations and chat templates are written with.

    Angle and square brackets become round ones; line breaks and control characters become spaces.
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.translate(_BRACKETS).split())
