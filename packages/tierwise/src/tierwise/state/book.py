"""The records of a state as rows of a SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from math import inf
from operator import attrgetter
from typing import Any, Generic, TypeVar

from tierwise.state.records import KEPT, Account, Breaker, Bucket, Held, Keyed, Line, Places, Record
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

_UNREAD = ""
"""Stands for the body of a record that was not looked for: no record has an empty one."""

_MOST = 1_000
"""The most records that one operation looks after, so that none takes long."""


class _Shelf(Generic[R]):
    """See `Shelf`."""

    def __init__(self, db: sqlite3.Connection, kind: type[R]) -> None:
        self.kind = kind
        self.records: dict[str, R | None] = {}
        self.bodies: dict[str, str | None] = {}
        """What the file holds of them."""
        self._db = db

    def get(self, key: str, /) -> R | None:
        """See `Shelf`."""
        key = storable(key)
        if key not in self.records:
            query = "SELECT body FROM records WHERE kind = ? AND key = ?"
            row = self._db.execute(query, (self.kind.__name__, key)).fetchone()
            self.records[key] = None if row is None else self._read(key, row[0])
            self.bodies[key] = None if row is None else row[0]
        return self.records[key]

    def _read(self, key: str, body: str) -> R:
        try:
            return self.kind(*json.loads(body))
        except (ValueError, TypeError) as error:
            damage = sqlite3.DatabaseError(f"its {self.kind.__name__.lower()} {key!r} cannot be read")
            damage.sqlite_errorname = "SQLITE_CORRUPT"  # as SQLite calls it where it finds the damage itself
            raise damage from error

    def pop(self, key: str, default: None, /) -> R | None:
        """See `Shelf`."""
        key = storable(key)
        known, self.records[key] = self.records.get(key), None
        return known


class SQLiteBook:
    """The records of a file, within one transaction after the other. See `Book`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.accounts = _Shelf(db, Account)
        self.places = _Shelf(db, Places)
        self.buckets = _Shelf(db, Bucket)
        self.breakers = _Shelf(db, Breaker)
        self.lines = _Shelf(db, Line)
        self.held = _Shelf(db, Held)
        self.keyed = _Shelf(db, Keyed)
        shelves = self.accounts, self.places, self.buckets, self.breakers, self.lines, self.held, self.keyed
        self._shelves: dict[type[Any], _Shelf[Any]] = {shelf.kind: shelf for shelf in shelves}
        self.shelves = {claim: self._shelves[kind] for claim, kind in KEPT.items()}
        """See `Book`."""
        self.soonest = -inf
        """See `Book`. Only the file knows, so that it is always asked."""

    def add(self, key: str, record: Record) -> None:
        """See `Book`."""
        self._shelves[type(record)].records[storable(key)] = record

    def lapsed(self, now: float) -> Sequence[tuple[str, Held]]:
        """See `Book`."""
        rows = self.db.execute("SELECT key FROM records WHERE expires <= ? LIMIT ?", (now, _MOST))
        calls = [(key, self.held.get(key)) for (key,) in rows.fetchall()]
        # What was changed in this transaction is not written yet.
        return [(key, held) for key, held in calls if held is not None and not held.lapsed and held.expires <= now]

    def forget(self, now: float) -> None:
        """Drops records whose time is over."""
        self.db.execute(
            "DELETE FROM records WHERE (kind, key) IN (SELECT kind, key FROM records WHERE until <= ? LIMIT ?)",
            (now, _MOST),
        )

    def flush(self) -> None:
        """Writes what has changed, and remembers nothing."""
        gone: list[tuple[str, str]] = []
        kept: list[tuple[object, ...]] = []
        for kind, shelf in self._shelves.items():
            for key, record in shelf.records.items():
                body = None if record is None else json.dumps(_FIELDS[kind](record))
                if body == shelf.bodies.get(key, _UNREAD):
                    continue
                if record is None:
                    gone.append((kind.__name__, key))
                else:
                    expires = record.expires if isinstance(record, Held) and not record.lapsed else None
                    kept.append((kind.__name__, key, body, expires, record.until))
        if gone:
            self.db.executemany("DELETE FROM records WHERE kind = ? AND key = ?", gone)
        if kept:
            self.db.executemany("REPLACE INTO records VALUES (?, ?, ?, ?, ?)", kept)
        self.clear()

    def clear(self) -> None:
        """Remembers nothing: a transaction begins, or what it changed is written."""
        for shelf in self._shelves.values():
            shelf.records.clear()
            shelf.bodies.clear()
