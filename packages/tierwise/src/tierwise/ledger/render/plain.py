"""A receipt as plain text: no colour, nothing to install, for logs and for `print`."""

from __future__ import annotations

from tierwise.ledger.render.columns import width
from tierwise.ledger.render.sheet import HEADINGS, Line, Sheet

__all__ = ["plain"]

_SHORT = HEADINGS.index("verdict")
"""The columns before this one are short and stand side by side; the others get lines of their own."""


def plain(sheet: Sheet) -> str:
    """The sheet as text."""
    lines = [line for run in sheet.runs for line in run.lines]
    widths = [max(map(width, column)) for column in zip(HEADINGS, *(line.cells for line in lines), strict=False)]
    out = [sheet.title]
    if lines:
        out += ["", _row(HEADINGS, widths)]
    for run in sheet.runs:
        out += [run.heading] if len(sheet.runs) > 1 else []
        for line in run.lines:
            out += _call(line, widths)
    label = max(len(name) for name, _ in sheet.totals)
    out += ["", *(f"{name.ljust(label)}  {figure}" for name, figure in sheet.totals)]
    out += ["", *sheet.notes] if sheet.notes else []
    return "\n".join(out)


def _call(line: Line, widths: list[int]) -> list[str]:
    margin = " " * (widths[0] + 2)
    return [
        _row(line.cells, widths),
        *(f"{margin}{name}: {cell}" for name, cell in zip(HEADINGS, line.cells, strict=True) if _is_long(name, cell)),
    ]


def _is_long(name: str, cell: str) -> bool:
    return bool(cell) and HEADINGS.index(name) >= _SHORT


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(c + " " * (w - width(c)) for c, w in zip(cells[:_SHORT], widths, strict=False)).rstrip()
