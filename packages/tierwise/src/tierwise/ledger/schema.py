"""The ledger's table: its columns, its versions, and the way between a row and its columns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, fields
from decimal import Decimal
from typing import Any

from tierwise import database
from tierwise.attempt import Outcome
from tierwise.errors import LedgerError
from tierwise.fleet.price import Usage
from tierwise.ledger.rows import Row

__all__ = ["DELETE", "FORGET", "MIGRATIONS", "UPSERT", "Entry", "entry", "is_current", "migrate", "values"]

APPLICATION_ID = 0x74696572
"""`tier` in ASCII: what SQLite's file header says of our files."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE calls (
        call_id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL,
        state TEXT NOT NULL,
        started_at REAL NOT NULL,
        session TEXT, job TEXT, node TEXT, role TEXT,
        decision_tier TEXT NOT NULL, decision_rule TEXT NOT NULL,
        tier TEXT NOT NULL, purpose TEXT NOT NULL, model TEXT NOT NULL, answered_by TEXT, reason TEXT NOT NULL,
        input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER, cache_write_tokens INTEGER,
        reasoning_tokens INTEGER, estimated INTEGER,
        cost TEXT, cost_source TEXT NOT NULL,
        latency REAL, first_token REAL, finish_reason TEXT, repaired INTEGER NOT NULL,
        typed INTEGER NOT NULL, tools INTEGER NOT NULL, tool_calls INTEGER,
        verdict TEXT, verifier TEXT NOT NULL, evidence TEXT NOT NULL, score REAL, threshold REAL, calibrated INTEGER,
        conclusive INTEGER NOT NULL, quotes INTEGER NOT NULL,
        error_type TEXT, error TEXT,
        prompt_hash TEXT, prompt_chars INTEGER, prompt TEXT, answer TEXT, answer_calls TEXT,
        process TEXT NOT NULL
    );
    CREATE INDEX calls_by_time ON calls (started_at, call_id);
    CREATE INDEX calls_by_run ON calls (run_id);
    CREATE INDEX calls_by_session ON calls (session) WHERE session IS NOT NULL;
    CREATE INDEX calls_in_doubt ON calls (process) WHERE state = 'intent';
    """,
)
"""One script for each version of the schema, which brings the version before it up to it. Released scripts stay as they
are; a new column is a new script at the end."""

_USAGE = tuple(f.name for f in fields(Usage))
_ROW = tuple(f.name for f in fields(Row) if f.name != "usage")
_KEPT = ("prompt_hash", "prompt_chars", "prompt", "answer", "answer_calls")
COLUMNS = (*_ROW, *_USAGE, *_KEPT, "process")
_FLAGS = ("repaired", "typed", "conclusive", "quotes", "calibrated", "estimated")

UPSERT = (
    f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 - own constants
    "ON CONFLICT (call_id) DO UPDATE SET "
    + ", ".join(f"{c} = excluded.{c}" for c in (*_ROW[1:], *_USAGE))
    + ", "
    + ", ".join(f"{c} = coalesce(excluded.{c}, {c})" for c in _KEPT)
)
"""Writes a row or replaces what is known of its call; the prompt's columns stay once they are there."""

DELETE = "DELETE FROM calls WHERE started_at < ? AND state != 'intent'"

FORGET = """
    UPDATE calls SET prompt = NULL, answer = NULL, answer_calls = NULL, error = NULL,
        evidence = CASE WHEN quotes THEN '' ELSE evidence END
    WHERE started_at < ? AND state != 'intent' AND (
        prompt IS NOT NULL OR answer IS NOT NULL OR answer_calls IS NOT NULL OR error IS NOT NULL
        OR (quotes AND evidence != ''))
"""

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Entry(Row):
    """A row as a ledger keeps it.

    Where content is not kept, `evidence` that may quote and `error` are empty, and so are the last three fields.
    """

    _: KW_ONLY
    prompt_hash: str | None = None
    """HMAC-SHA256 of the messages under the ledger's key: equal prompts are equal, and nobody can guess them."""
    prompt_chars: int | None = None
    """The length of all messages together, in characters."""
    prompt: str | None = None
    """The messages as JSON."""
    answer: str | None = None
    answer_calls: str | None = None
    """The answer's tool calls as JSON."""


def values(
    row: Row, *, content: bool, process: str, prompt: Mapping[str, Any] | None = None, outcome: Outcome | None = None
) -> tuple[Any, ...]:
    """A row's columns, without any content unless that is opted in.

    Args:
        row: The row.
        content: Whether prompts, answers, quoting evidence and error texts are kept.
        process: The process that makes the call.
        prompt: What is kept of the prompt, by column.
        outcome: What came back, for the answer.
    """
    row = row if content else row.plain
    usage = row.usage
    known: dict[str, Any] = {name: getattr(row, name) for name in _ROW}
    known |= {name: None if usage is None else getattr(usage, name) for name in _USAGE}
    known |= prompt or {}
    known["cost"] = None if row.cost is None else str(row.cost)
    known["process"] = process
    if content and outcome is not None and outcome.error is None:
        known["answer"] = outcome.text
        if outcome.tool_calls:
            calls = [{"name": c.name, "arguments": c.malformed or dict(c.arguments)} for c in outcome.tool_calls]
            known["answer_calls"] = json.dumps(calls, ensure_ascii=False, default=str)
    return tuple([v if v is None else _storable(v) for v in map(known.get, COLUMNS)])


def _storable(value: Any) -> Any:
    """The value in a form that SQLite takes: what a provider sends must never stop the ledger."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return max(-_LARGEST, min(int(value), _LARGEST))
    return value


def entry(stored: sqlite3.Row) -> Entry:
    """The entry that the columns stand for."""
    known: dict[str, Any] = {name: stored[name] for name in (*_ROW, *_USAGE, *_KEPT)}
    for name in _FLAGS:
        known[name] = None if known[name] is None else bool(known[name])
    counts: dict[str, Any] = {name: known.pop(name) for name in _USAGE}
    known["usage"] = None if counts["estimated"] is None else Usage(**counts)
    known["cost"] = None if known["cost"] is None else Decimal(known["cost"])
    return Entry(**known)


def is_current(db: sqlite3.Connection) -> bool:
    """True if the file is a ledger of this version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    return owner == APPLICATION_ID and version == len(MIGRATIONS)


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Brings the file's schema up to date, inside the transaction that the caller has begun.

    Raises:
        LedgerError: The file is another program's, or a newer Tierwise wrote it.
    """
    database.migrate(db, MIGRATIONS, APPLICATION_ID, lambda what: LedgerError(f"ledger {path}: {what}"))
