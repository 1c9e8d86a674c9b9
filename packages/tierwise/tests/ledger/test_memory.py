"""The rows of the latest runs, in memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.errors import ConfigError
from tierwise.ledger import MemoryLedger, Row
from tierwise.task import Task


def row(call_id: str, run_id: str, **fields: Any) -> Row:
    known: dict[str, Any] = {"state": "settled", **fields}
    return Row(call_id, run_id, **known)


def test_a_row_that_is_settled_again_is_kept_once_as_it_is_now() -> None:
    ledger = MemoryLedger()
    ledger.begin(row("c", "r", state="intent"), Task("hi"))
    ledger.settle(row("c", "r", tier="small"))
    ledger.settle(row("c", "r", tier="small", verdict="accept"))
    (kept,) = ledger.rows(run="r")
    assert (kept.state, kept.tier, kept.verdict) == ("settled", "small", "accept")


def test_rows_are_found_by_run_and_by_session_in_the_order_of_their_calls() -> None:
    ledger = MemoryLedger()
    ledger.settle(row("b", "r2", session="s", started_at=2))
    ledger.settle(row("a", "r1", session="s", started_at=1))
    ledger.settle(row("c", "r3", session="t", started_at=3))
    assert [r.call_id for r in ledger.rows(session="s")] == ["a", "b"]
    assert [r.call_id for r in ledger.rows(run="r3")] == ["c"]
    assert [r.call_id for r in ledger.rows(run="r3", session="s")] == []
    assert [r.call_id for r in ledger.rows()] == ["a", "b", "c"]


def test_the_run_that_began_first_is_dropped_first() -> None:
    ledger = MemoryLedger(max_runs=2)
    for run in ("r1", "r2", "r3"):
        ledger.settle(row(f"c-{run}", run))
    assert {r.run_id for r in ledger.rows()} == {"r2", "r3"}


def test_a_run_under_way_is_not_dropped() -> None:
    ledger = MemoryLedger(max_runs=1)
    ledger.settle(row("a", "slow"))
    ledger.begin(row("b", "slow", state="intent"), Task("hi"))
    ledger.begin(row("c", "other", state="intent"), Task("hi"))
    ledger.settle(row("b", "slow"))
    assert [r.call_id for r in ledger.rows(run="slow")] == ["a", "b"]
    ledger.settle(row("d", "third"))
    assert ledger.rows(run="slow") == []


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=40), st.integers(1, 5))
def test_whole_runs_are_kept_or_none_of_them_and_never_too_many(calls: list[tuple[int, int]], bound: int) -> None:
    ledger = MemoryLedger(max_runs=bound)
    begun: dict[str, set[str]] = {}
    for run, call in sorted(calls):
        ledger.settle(row(f"{run}.{call}", f"r{run}"))
        begun.setdefault(f"r{run}", set()).add(f"{run}.{call}")
    kept = {run: {r.call_id for r in ledger.rows(run=run)} for run in begun}
    assert {run: calls for run, calls in kept.items() if calls} == dict(list(begun.items())[-bound:])


def test_what_may_quote_is_kept_only_if_that_is_asked_for() -> None:
    quoting = row("c", "r", verdict="reject", evidence="it says 'secret'", error="no: 'secret'", error_type="E")
    plain = row("d", "r", verdict="reject", evidence="0.2, threshold 0.5", quotes=False)
    for content in (False, True):
        ledger = MemoryLedger(content=content)
        ledger.settle(quoting)
        ledger.settle(plain)
        assert ("secret" in repr(ledger.rows())) is content
        first, second = ledger.rows()
        assert (first.verdict, first.error_type, second.evidence) == ("reject", "E", "0.2, threshold 0.5")


def test_a_bound_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_runs=0 must be above zero"):
        MemoryLedger(max_runs=0)
