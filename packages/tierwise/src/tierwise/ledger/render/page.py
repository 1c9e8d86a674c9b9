"""A receipt as one HTML page. It loads nothing and runs no script, and its own policy forbids both."""

from __future__ import annotations

import re
from html import escape
from importlib.resources import files

from tierwise.ledger.render.sheet import HEADINGS, Line, Run, Sheet

__all__ = ["page"]

_CLASSES = ("number", *HEADINGS[1:])
_LABELS = ("call", *HEADINGS[1:])
_UNIT = re.compile(" (?=in|out|cached|reasoning)")
"""The space before a unit, where no line should break."""
_LONG = 24
"""A figure of more characters than this gets a line of its own on a phone."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title} · Tierwise</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{subtitle}<dl>
{totals}</dl>
{calls}{notes}</main>
</body>
</html>
"""


def page(sheet: Sheet) -> str:
    """The page of a sheet."""
    return _PAGE.format(
        title=escape(sheet.title),
        style=files("tierwise.ledger.render").joinpath("page.css").read_text(encoding="utf-8"),
        subtitle=f'<p class="run">{escape(sheet.runs[0].heading)}</p>\n' if len(sheet.runs) == 1 else "",
        totals="".join(_total(name, figure) for name, figure in sheet.totals),
        calls=_table(sheet.runs) if sheet.runs else "<p>No calls.</p>\n",
        notes=_notes(sheet.notes),
    )


def _total(name: str, figure: str) -> str:
    kind = ' class="wide"' if len(figure) > _LONG else ""
    return f"<div{kind}><dt>{escape(name)}</dt><dd>{escape(figure)}</dd></div>\n"


def _notes(notes: tuple[str, ...]) -> str:
    items = "".join(f"<li>{escape(note)}</li>\n" for note in notes)
    return f'<ul class="notes">\n{items}</ul>\n' if notes else ""


def _table(runs: tuple[Run, ...]) -> str:
    # The roles repeat what the elements mean: browsers forget it where cards are made of a table by CSS.
    heads = "".join(f'<th scope="col" role="columnheader" class="{k}">{h}</th>' for k, h in _classed(_LABELS))
    bodies = "".join(_body(run, grouped=len(runs) > 1) for run in runs)
    return (
        '<table role="table">\n<caption>Every call, in the order in which they began</caption>\n'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n{bodies}</table>\n'
    )


def _body(run: Run, *, grouped: bool) -> str:
    span = f'<th scope="rowgroup" role="rowheader" class="group" colspan="{len(HEADINGS)}">'
    heading = f'<tr role="row">{span}{escape(run.heading)}</th></tr>\n' if grouped else ""
    return f'<tbody role="rowgroup">\n{heading}{"".join(map(_line, run.lines))}</tbody>\n'


def _line(line: Line) -> str:
    cells = "".join(
        f'<td role="cell" class="{kind}" data-label="{label}">{_marked(kind, cell)}</td>'
        for (kind, cell), label in zip(_classed(line.cells), _LABELS, strict=True)
    )
    return f'<tr role="row" class="{" ".join(filter(None, ("call", line.tone)))}">{cells}</tr>\n'


def _marked(kind: str, cell: str) -> str:
    if kind == "tokens":
        return _UNIT.sub("&nbsp;", escape(cell))
    if kind != "verdict":
        return escape(cell)
    word, colon, evidence = cell.partition(":")
    return f"<strong>{escape(word)}</strong>{colon}{escape(evidence)}" if cell else ""


def _classed(cells: tuple[str, ...]) -> zip[tuple[str, str]]:
    return zip(_CLASSES, cells, strict=True)
