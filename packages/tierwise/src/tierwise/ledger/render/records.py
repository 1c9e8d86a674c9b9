"""Rows for machines: flat records, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tierwise.fleet.price import Usage
from tierwise.ledger.rows import Row

__all__ = ["columns", "csv_lines", "json_lines", "neutral", "record"]

_USAGE = tuple(f.name for f in fields(Usage))
_ACTIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets read these too
_CONTROLS = [c for c in (*range(32), *range(127, 160)) if chr(c) not in "\n\t"]
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_DROPPED = dict.fromkeys((*_CONTROLS, *_DIRECTIONS))
"""What a terminal would obey, and what turns text around."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def columns(kind: type[Row] = Row) -> tuple[str, ...]:
    """The names of a record's fields: those of the row, with the usage's in its place."""
    names: list[str] = []
    for field in fields(kind):
        names.extend(_USAGE if field.name == "usage" else [field.name])
    return tuple(names)


def record(row: Row) -> dict[str, Any]:
    """A row as a flat record: costs as decimal text, so that nothing is lost, and the time in ISO 8601, UTC."""
    flat: dict[str, Any] = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name == "usage":
            flat |= {name: None if value is None else getattr(value, name) for name in _USAGE}
        else:
            flat[field.name] = _plain(value)
    flat["started_at"] = datetime.fromtimestamp(row.started_at, UTC).isoformat(timespec="microseconds")
    return flat


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: what is no finite number is no figure."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return None if isinstance(value, float) and not math.isfinite(value) else value


def json_lines(rows: Iterable[Row]) -> Iterator[str]:
    """One line of JSON for each row."""
    return (json.dumps(record(row)) + "\n" for row in rows)


def csv_lines(rows: Iterable[Row], kind: type[Row] = Row) -> Iterator[str]:
    """A header line and one line for each row, in the form of RFC 4180. Unknown values are empty cells.

    Text that a spreadsheet would run as a formula gets an apostrophe before it. Controls are left out, but for tabs and
    line breaks.
    """
    names = columns(kind)
    yield _csv_line(names)
    for row in rows:
        flat = record(row)
        yield _csv_line([neutral(flat[name]) for name in names])


def neutral(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula and no terminal for an order; numbers stay as they are."""
    if not isinstance(value, str):
        return value
    text = value if value.isprintable() else _printed(value)
    return f"'{text}" if text.startswith(_ACTIVE) and not _NUMBER.fullmatch(text) else text


def _printed(text: str) -> str:
    """Text that can be written to a file and shown: UTF-8 cannot express halves of surrogate pairs."""
    return text.translate(_DROPPED).encode("utf-8", "replace").decode()


def _csv_line(cells: Iterable[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
