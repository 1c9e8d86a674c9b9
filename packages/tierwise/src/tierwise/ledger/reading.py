"""Reading a ledger: rows, runs, totals, exports. Everything is read from the file, while others may write to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

from tierwise.errors import UnknownNameError
from tierwise.ledger.database import reading
from tierwise.ledger.schema import Entry, entry

__all__ = ["By", "Filters", "Moment", "RunTotal", "SQLiteReader", "Total", "timestamp"]

Moment = datetime | float
"""A time: a `datetime`, or seconds since 1970."""

By = Literal["tier", "model", "job", "purpose", "role", "node", "session"]

_BY = ("tier", "model", "job", "purpose", "role", "node", "session")
_EQUAL = {"run": "run_id", "session": "session", "model": "model", "tier": "tier", "job": "job"}


class Filters(TypedDict, total=False):
    """Which rows; all of them if nothing is given."""

    run: str | None
    session: str | None
    since: Moment | None
    """Begun at this time or later."""
    until: Moment | None
    """Begun before this time."""
    model: str | None
    """The model that was asked: `provider:name`."""
    tier: str | None
    job: str | None


@dataclass(frozen=True, slots=True)
class Total:
    """The calls that share a tier, a model, a job."""

    key: str | None
    """The tier's, model's or job's name; `None` for calls that name none."""
    _: KW_ONLY
    calls: int
    """Calls that were made; refused ones are not among them."""
    refused: int
    failed: int
    in_doubt: int
    """Calls whose process died before they were settled."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    estimated: int
    """Calls with token counts that are estimates."""
    cost: Decimal
    """USD of the calls whose price is known."""
    unpriced: int
    """Calls whose price is not known: they may have cost something."""
    latency: float
    """Seconds that the calls took together, as if one after the other."""


@dataclass(frozen=True, slots=True)
class RunTotal:
    """One run: an answered task, with every call that it took."""

    run_id: str
    _: KW_ONLY
    started_at: float
    """Seconds since 1970."""
    session: str | None
    job: str | None
    tier: str | None
    """The tier that answered; `None` if none did."""
    calls: int
    cost: Decimal
    """USD of the calls whose price is known."""
    unpriced: int
    latency: float
    """Seconds that the calls took together, as if one after the other."""


class SQLiteReader:
    """Reads a ledger's file.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    def _catch_up(self) -> None:
        """Waits until what was queued before is in the file; a reader queues nothing."""

    def rows(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> list[Entry]:
        """The calls, in the order in which they began.

        Args:
            limit: The most rows; the latest are taken.
            **filters: Which rows.

        Raises:
            LedgerError: The file cannot be read.
        """
        where, given = _where(filters)
        latest = f"SELECT * FROM calls {where} ORDER BY started_at DESC, call_id DESC LIMIT ?"  # noqa: S608 - own words
        return [entry(stored) for stored in self._fetch(latest, (*given, -1 if limit is None else limit))][::-1]

    def runs(self, limit: int | None = None, **filters: Unpack[Filters]) -> list[RunTotal]:
        """The runs, latest first.

        Args:
            limit: The most runs.
            **filters: Which rows to add up.

        Raises:
            LedgerError: The file cannot be read.
        """
        where, given = _where(filters)
        return [
            RunTotal(**_known(stored))
            for stored in self._fetch(
                f"""
                SELECT run_id, min(started_at) AS started_at, session,
                    coalesce(max(CASE WHEN purpose IN ('answer', 'synthesis', 'draft') THEN job END), job) AS job,
                    max(CASE WHEN purpose IN ('answer', 'synthesis') AND state = 'settled' AND error_type IS NULL
                        THEN tier END) AS tier,
                    sum(state != 'refused') AS calls, decimal_sum(cost) AS cost, sum(cost IS NULL) AS unpriced,
                    total(latency) AS latency
                FROM calls {where} GROUP BY run_id ORDER BY 2 DESC LIMIT ?
                """,  # noqa: S608 - own words
                (*given, -1 if limit is None else limit),
            )
        ]

    def totals(self, by: By = "tier", **filters: Unpack[Filters]) -> list[Total]:
        """What the calls of each tier, model or job took, the dearest first.

        Args:
            by: What to add up by.
            **filters: Which rows to add up.

        Raises:
            UnknownNameError: `by` is no such label.
            LedgerError: The file cannot be read.
        """
        if by not in _BY:
            raise UnknownNameError("label", by, _BY, where="totals(by=)")
        where, given = _where(filters)
        found = self._fetch(
            f"""
            SELECT nullif({by}, '') AS key, sum(state != 'refused') AS calls, sum(state = 'refused') AS refused,
                sum(error_type IS NOT NULL AND state != 'refused') AS failed, sum(state = 'unknown') AS in_doubt,
                coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens,
                coalesce(sum(cached_tokens), 0) AS cached_tokens,
                coalesce(sum(reasoning_tokens), 0) AS reasoning_tokens, coalesce(sum(estimated), 0) AS estimated,
                decimal_sum(cost) AS cost, sum(cost IS NULL) AS unpriced, total(latency) AS latency
            FROM calls {where} GROUP BY 1
            """,  # noqa: S608 - own words
            given,
        )
        return sorted((Total(**_known(stored)) for stored in found), key=lambda t: (-t.cost, -t.calls, t.key or ""))

    def export(self, format: Literal["csv", "jsonl"] = "csv", **filters: Unpack[Filters]) -> Iterator[str]:  # noqa: A002
        """The calls as lines of text, read as they are consumed: `file.writelines(ledger.export())`.

        Args:
            format: `csv` (with a header line), or `jsonl`.
            **filters: Which rows.

        Raises:
            UnknownNameError: There is no such format.
            LedgerError: The file cannot be read.
        """
        from tierwise.ledger.render.records import csv_lines, json_lines

        if format not in ("csv", "jsonl"):
            raise UnknownNameError("format", format, ("csv", "jsonl"), where="export")
        where, given = _where(filters)
        self._catch_up()
        stored = self._each(f"SELECT * FROM calls {where} ORDER BY started_at, call_id", given)  # noqa: S608 - own words
        return csv_lines(stored, Entry) if format == "csv" else json_lines(stored)

    def _fetch(self, sql: str, given: tuple[Any, ...]) -> list[sqlite3.Row]:
        self._catch_up()
        with reading(self.path) as db:
            db.create_aggregate("decimal_sum", 1, DecimalSum)  # pyright: ignore[reportArgumentType] - None is NULL
            return db.execute(sql, given).fetchall()

    def _each(self, sql: str, given: tuple[Any, ...]) -> Generator[Entry]:
        with reading(self.path) as db:
            for stored in db.execute(sql, given):
                yield entry(stored)


class DecimalSum:
    """Adds up decimal texts in SQL without loss."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, value: str | None) -> None:
        """Takes a value; NULL is skipped."""
        if value is not None:
            self._sum += Decimal(value)

    def finalize(self) -> str:
        """The sum."""
        return str(self._sum)


def timestamp(moment: Moment) -> float:
    """Seconds since 1970."""
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def _where(filters: Filters) -> tuple[str, tuple[Any, ...]]:
    conditions: list[str] = []
    given: list[Any] = []
    for name, value in filters.items():
        if value is None:
            continue
        if name in ("since", "until"):
            conditions.append(f"started_at {'>=' if name == 'since' else '<'} ?")
            given.append(timestamp(value))  # pyright: ignore[reportArgumentType] - these two are moments
        elif name in _EQUAL:
            conditions.append(f"{_EQUAL[name]} = ?")
            given.append(value)
        else:
            raise UnknownNameError("filter", name, Filters.__annotations__)
    return ("WHERE " + " AND ".join(conditions) if conditions else ""), tuple(given)


def _known(stored: sqlite3.Row) -> dict[str, Any]:
    return dict(stored) | {"cost": Decimal(stored["cost"])}
