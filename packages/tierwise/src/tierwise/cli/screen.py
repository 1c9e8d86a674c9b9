"""Where words go: results to standard output, everything else to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tierwise.audit.report import AuditReport
from tierwise.ledger.receipt import Receipt

__all__ = ["bill", "harmless", "out", "say", "show", "table", "waiting", "write"]

_ACTIVE = {code: None for code in (*range(32), 127, *range(128, 160)) if chr(code) not in "\n\t"}
"""Control characters: in a terminal they move the cursor, change the title, or worse."""
_GAP = 2
"""Columns of a terminal between two of a table."""


def out() -> Console:
    """Standard output, as it is now."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())


def say(text: str) -> None:
    """A line for the person who waits: to standard error."""
    print(harmless(text), file=sys.stderr)


def harmless(text: str) -> str:
    """Text of a model or a provider without what a terminal would obey."""
    return text.translate(_ACTIVE)


def bill(receipt: Receipt) -> None:
    """A receipt beside the answer: to standard error."""
    if sys.stderr.isatty():
        Console(stderr=True).print(receipt)
    else:
        say(str(receipt))


def show(result: Receipt | AuditReport) -> None:
    """A result with tables of its own; plain where standard output is no terminal."""
    if sys.stdout.isatty():
        out().print(result)
    else:
        write(str(result), None)


def write(text: str, to: Path | None) -> None:
    """A result as it is: into a file, or to standard output.

    Args:
        text: The result.
        to: The file.
    """
    if to is None:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    else:
        to.write_text(text, encoding="utf-8")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> None:
    """A table in a terminal, or a line for each cell where that is too narrow; elsewhere rows with tabs in them.

    Args:
        headings: The columns' names.
        rows: Their cells.
        right: The columns of figures, by name.
    """
    if not sys.stdout.isatty():
        for row in (headings, *rows):
            print("\t".join(harmless(cell).replace("\t", " ").replace("\n", " ") for cell in row))
        return
    console, cells = out(), [[harmless(cell) for cell in row] for row in rows]
    columns = list(zip(headings, *cells, strict=True))
    widths = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    if sum(widths) + _GAP * (len(widths) - 1) > console.width:
        for number, row in enumerate(cells):
            pairs = [(name, cell) for name, cell in zip(headings, row, strict=True) if cell]
            lines = [Text.assemble((f"{name}: ", "bold"), cell) for name, cell in pairs]
            console.print(*([""] if number else []), *lines, sep="\n")
        return
    drawn = Table(box=SIMPLE_HEAD, padding=(0, _GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    for name, *below in columns:
        whole = not any(" " in cell for cell in (name, *below))
        drawn.add_column(name, justify="right" if name in right else "left", overflow="fold", no_wrap=whole)
    for row in cells:
        drawn.add_row(*map(Text, row))
    console.print(drawn)


def waiting(what: str) -> AbstractContextManager[Any]:
    """A sign of life on standard error while something takes long; nothing where that is no terminal."""
    return Console(stderr=True).status(what) if sys.stderr.isatty() else nullcontext()
