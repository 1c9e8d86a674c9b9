"""Cuts long lists into pages, for a web page or a terminal. The first page has the number 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def page_count(total: int, size: int) -> int:
    """How many pages a list of this length fills; an empty list still has one, which says so."""
    if size < 1:
        raise ValueError(f"a page holds at least one entry, not {size}")
    return max(1, -(-total // size))


def page_items(items: Sequence[T], number: int, size: int) -> Sequence[T]:
    """The entries of one page, counted from 1; empty behind the last page."""
    start = number * size
    return items[start : start + size]


def neighbours(number: int, pages: int, around: int = 2) -> list[int]:
    """The page numbers to link to: those around the current one, as far as they exist."""
    first = max(1, number - around)
    last = min(pages, number + around)
    return list(range(first, last + 1))


def footer(number: int, total: int, size: int) -> str:
    """The line below a page, e.g. `Page 2 of 3`."""
    return f"Page {number} of {page_count(total, size)}"
