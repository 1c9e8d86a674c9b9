"""A receipt in a terminal, with rich."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tierwise.errors import MissingExtraError
from tierwise.ledger.render.plain import plain
from tierwise.ledger.render.sheet import HEADINGS, Run, Sheet

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

__all__ = ["TerminalReceipt"]

_NARROW = 120
"""Columns below which nine columns of cells are harder to read than lines."""
_STYLES = {"accept": "green", "reject": "red", "abstain": "yellow", "error": "red bold", "": ""}
_RIGHT = ("#", "cost")
_RATIOS = {"model": 5, "tokens": 4, "latency": 3, "verdict": 7, "why": 5}


class TerminalReceipt:
    """A sheet that rich can print: a table, or plain lines where the terminal is narrow.

    Raises:
        MissingExtraError: rich is not installed.
    """

    def __init__(self, sheet: Sheet) -> None:
        try:
            import rich.table
            import rich.text
        except ImportError:
            raise MissingExtraError("a receipt's table in the terminal", "tierwise[cli]") from None
        self._sheet = sheet
        self._table, self._text = rich.table.Table, rich.text.Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        sheet, text = self._sheet, self._text
        if options.max_width < _NARROW or not sheet.runs:
            yield text(plain(sheet))
            return
        yield text(sheet.title, style="bold")
        for run in sheet.runs:
            yield text(run.heading, style="dim")
            yield self._run(run)
        for name, figure in sheet.totals:
            yield text.assemble((f"{name}: ", "bold"), figure)
        for note in sheet.notes:
            yield text(note, style="dim")

    def _run(self, run: Run) -> Table:
        text, table = self._text, self._table(expand=True)
        for name in HEADINGS:
            right = "right" if name in _RIGHT else "left"
            table.add_column(name, justify=right, overflow="fold", ratio=_RATIOS.get(name))
        for line in run.lines:
            table.add_row(*(text(c, _STYLES[line.tone] if h == "verdict" else "") for h, c in _named(line.cells)))
        return table


def _named(cells: tuple[str, ...]) -> zip[tuple[str, str]]:
    return zip(HEADINGS, cells, strict=True)
