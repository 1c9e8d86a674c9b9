"""The records of a state as rows of a SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar, cast

from tierwise.state.records import Account, Breaker, Bucket, Held, Keyed, Line, Places, Record
from tierwise.state.shared import storable

__all__ = ["APPLICATION_ID", "MIGRATIONS", "SQLiteBook"]

R = TypeVar("R", bound=Record)

APPLICATION_ID = 0x74697374
"""`tist` in ASCII: what SQLite's file header says of our files."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE records (
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        body TEXT NOT NULL,
        expires REAL,
        until REAL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE INDEX leases ON records (expires) WHERE expires IS NOT NULL;
    CREATE INDEX records_until ON records (until) WHERE until IS NOT NULL;
    CREATE TABLE sessions (
        name TEXT PRIMARY KEY, tier TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX sessions_at ON sessions (at);
    CREATE TABLE models (name TEXT PRIMARY KEY, latency REAL, error_rate REAL, at REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE clock (ahead REAL NOT NULL, latest REAL NOT NULL)
    """,
)

_FIELDS: dict[type[Record], Callable[[Any], tuple[Any, ...]]] = {
    kind: attrgetter(*kind.__slots__) for kind in (Account, Places, Bucket, Breaker, Line, Held, Keyed)
}

_MOST = 1_000
"""The most records that one operation looks after, so that none takes long."""


class SQLiteBook:
    """The records of a file within one transaction. See `Book`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._loaded: dict[tuple[type[Record], str], Record | None] = {}
        self._changed: dict[tuple[type[Record], str], Record | None] = {}

    def load(self, kind: type[R], key: str) -> R | None:
        """See `Book`."""
        place = kind, storable(key)
        if place not in self._loaded:
            query = "SELECT body FROM records WHERE kind = ? AND key = ?"
            row = self.db.execute(query, (kind.__name__, place[1])).fetchone()
            self._loaded[place] = None if row is None else kind(*json.loads(row[0]))
        return cast("R | None", self._loaded[place])

    def save(self, key: str, record: Record) -> None:
        """See `Book`."""
        place = type(record), storable(key)
        self._loaded[place] = self._changed[place] = record

    def drop(self, kind: type[Record], key: str) -> None:
        """See `Book`."""
        place = kind, storable(key)
        self._loaded[place] = self._changed[place] = None

    def lapsed(self, now: float) -> Sequence[tuple[str, Held]]:
        """See `Book`."""
        rows = self.db.execute("SELECT key FROM records WHERE expires <= ? LIMIT ?", (now, _MOST))
        calls = [(key, self.load(Held, key)) for (key,) in rows.fetchall()]
        # What was changed in this transaction is not written yet.
        return [(key, held) for key, held in calls if held is not None and not held.lapsed and held.expires <= now]

    def forget(self, now: float) -> None:
        """Drops records whose time is over."""
        self.db.execute(
            "DELETE FROM records WHERE (kind, key) IN (SELECT kind, key FROM records WHERE until <= ? LIMIT ?)",
            (now, _MOST),
        )

    def flush(self) -> None:
        """Writes what has changed."""
        gone = [(kind.__name__, key) for (kind, key), record in self._changed.items() if record is None]
        kept = [_row(key, record) for (_, key), record in self._changed.items() if record is not None]
        if gone:
            self.db.executemany("DELETE FROM records WHERE kind = ? AND key = ?", gone)
        if kept:
            self.db.executemany("REPLACE INTO records VALUES (?, ?, ?, ?, ?)", kept)
        self._changed.clear()


def _row(key: str, record: Record) -> tuple[object, ...]:
    kind = type(record)
    expires = record.expires if isinstance(record, Held) and not record.lapsed else None
    return kind.__name__, key, json.dumps(_FIELDS[kind](record)), expires, record.until
