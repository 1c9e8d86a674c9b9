"""Text in columns: aligned, without colour, and harmless to a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tierwise.ledger.render.cells import clean

__all__ = ["columns", "width"]


def columns(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines, their cells two spaces apart; all rows have as many cells as the first."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    padded = ([c + " " * (w - width(c)) for c, w in zip(row, widths, strict=True)] for row in cells)
    return "\n".join("  ".join(row).rstrip() for row in padded)


def width(text: str) -> int:
    """Columns in a terminal: East Asian letters take two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
