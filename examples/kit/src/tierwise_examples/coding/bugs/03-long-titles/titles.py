"""Titles of articles: for addresses, for lists, for cards."""

from __future__ import annotations

import re

_NO_WORD = re.compile(r"[^a-z0-9]+")
SMALL_WORDS = {"a", "an", "and", "in", "of", "on", "or", "the", "to"}


def slug(title: str) -> str:
    """The title as a part of an address: lower case, words joined by hyphens."""
    return _NO_WORD.sub("-", title.lower()).strip("-")


def shorten(title: str, limit: int = 40) -> str:
    """The title in at most `limit` characters, the dots at its end included."""
    if len(title) <= limit:
        return title
    return title[:limit] + "..."


def capitalize(title: str) -> str:
    """Every word with a capital letter, except small words that do not come first."""
    words = title.lower().split()
    return " ".join(
        word if place > 0 and word in SMALL_WORDS else word.capitalize() for place, word in enumerate(words)
    )


def initials(name: str) -> str:
    """The first letters of a name, e.g. `AL` for Ada Lovelace."""
    return "".join(part[0].upper() for part in name.split())
