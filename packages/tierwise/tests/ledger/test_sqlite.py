"""What a ledger keeps, what it leaves out, and what it does when it cannot write."""

import asyncio
import csv
import io
import json
import logging
import math
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tierwise import Attempt, Fleet, Message, ModelSpec, Outcome, Router, Task, Tier, ToolCall, Usage
from tierwise.attempt import Purpose
from tierwise.errors import ConfigError, LedgerError, RateLimitError, UnknownNameError
from tierwise.ledger import Row, SQLiteLedger, database
from tierwise.ledger import schema as schema_module
from tierwise.ledger.reading import SQLiteReader
from tierwise.ledger.rows import CallState
from tierwise.ledger.schema import MIGRATIONS, migrate

SECRET = "the-secret-word"
KEY = b"a key of the tests"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SQLiteLedger]:
    with SQLiteLedger(path, key=KEY, on_error="raise") as opened:
        yield opened


def a_row(call_id: str = "c1", run_id: str = "r1", **changes: Any) -> Row:
    known: dict[str, Any] = {"started_at": 1000.0, "tier": "small", "model": "a:x"}
    return Row(call_id, run_id, **(known | changes))


def an_outcome(text: str = SECRET, **changes: Any) -> Outcome:
    return Outcome(Attempt(Task("hi"), ModelSpec("a:x"), "small"), text=text, **changes)


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


# What is kept


texts = st.text(max_size=20)
maybe = st.none() | texts
counts = st.integers(0, 2**40)
dollars = st.decimals(0, 1000, allow_nan=False, places=12)
rows = st.builds(
    Row,
    call_id=st.uuids().map(str),
    run_id=texts,
    state=st.sampled_from(get_args(CallState)),
    started_at=st.floats(0, 4e9),
    session=maybe,
    job=maybe,
    node=maybe,
    role=maybe,
    decision_tier=texts,
    decision_rule=texts,
    tier=texts,
    purpose=st.sampled_from(get_args(Purpose)),
    model=texts,
    answered_by=maybe,
    reason=texts,
    usage=st.none()
    | st.builds(
        Usage,
        st.none() | counts,
        st.none() | counts,
        cached_tokens=counts,
        cache_write_tokens=counts,
        reasoning_tokens=counts,
        estimated=st.booleans(),
    ),
    cost=st.none() | dollars,
    cost_source=texts,
    latency=st.none() | st.floats(0, 1e6),
    first_token=st.none() | st.floats(0, 1e6),
    finish_reason=maybe,
    repaired=st.booleans(),
    typed=st.booleans(),
    tools=st.integers(0, 99),
    tool_calls=st.none() | st.integers(0, 99),
    verdict=st.sampled_from([None, "accept", "reject", "abstain"]),
    verifier=texts,
    evidence=texts,
    score=st.none() | st.floats(0, 1),
    threshold=st.none() | st.floats(0, 1),
    calibrated=st.none() | st.booleans(),
    conclusive=st.booleans(),
    quotes=st.booleans(),
    error_type=maybe,
    error=maybe,
)


def test_the_strategy_above_fills_every_field_of_a_row() -> None:
    filled = set(rows.wrapped_strategy.kwargs)  # type: ignore[attr-defined]
    assert filled == {f.name for f in fields(Row)}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=rows)
def test_with_content_every_field_comes_back_as_it_was_written(tmp_path: Path, row: Row) -> None:
    with SQLiteLedger(tmp_path / "all.db", key=KEY, content=True, on_error="raise") as ledger:
        ledger.settle(row)
        kept = {entry.call_id: entry for entry in ledger.rows()}[row.call_id]
    assert Row(**{f.name: getattr(kept, f.name) for f in fields(Row)}) == row


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=rows)
def test_without_content_only_what_may_quote_is_left_out(tmp_path: Path, row: Row) -> None:
    with SQLiteLedger(tmp_path / "some.db", key=KEY, on_error="raise") as ledger:
        ledger.settle(row)
        kept = {entry.call_id: entry for entry in ledger.rows()}[row.call_id]
    expected = replace(row, error=None, evidence="" if row.quotes else row.evidence)
    assert Row(**{f.name: getattr(kept, f.name) for f in fields(Row)}) == expected


def test_an_intent_is_there_before_begin_returns(ledger: SQLiteLedger, path: Path) -> None:
    ledger.begin(a_row(), Task("hi"))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT call_id, state FROM calls").fetchall() == [("c1", "intent")]


async def test_an_intent_is_there_before_abegin_returns(ledger: SQLiteLedger, path: Path) -> None:
    await asyncio.gather(*(ledger.abegin(a_row(f"c{i}"), Task("hi")) for i in range(50)))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM calls WHERE state = 'intent'").fetchone() == (50,)


async def test_waiting_for_an_intent_does_not_block_the_loop(ledger: SQLiteLedger, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun = asyncio.ensure_future(ledger.abegin(a_row(), Task("hi")))
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert not begun.done()
        other.execute("ROLLBACK")
        await begun


def test_a_settled_row_replaces_its_intent_and_a_late_verdict_the_settled_row(ledger: SQLiteLedger) -> None:
    row = a_row()
    ledger.begin(row, Task("hello"))
    ledger.settle(settled := replace(row, state="settled", cost=Decimal("0.000000000123")), an_outcome())
    ledger.settle(replace(settled, verdict="accept", verifier="Check", purpose="answer"))
    [kept] = ledger.rows()
    assert (kept.state, kept.verdict, kept.purpose) == ("settled", "accept", "answer")
    assert kept.cost == Decimal("0.000000000123")
    assert kept.prompt_chars == 5


def test_equal_prompts_have_equal_hashes_which_need_the_key(tmp_path: Path) -> None:
    def hashes(name: str, key: bytes) -> list[str | None]:
        with SQLiteLedger(tmp_path / name, key=key) as ledger:
            for i, text in enumerate(["one", "two", "one"]):
                ledger.begin(a_row(f"c{i}"), Task(text))
            return [row.prompt_hash for row in ledger.rows()]

    one, two, again = hashes("a.db", b"1")
    assert one == again != two
    assert hashes("b.db", b"1") == [one, two, again]
    assert one not in hashes("c.db", b"2")


def test_the_key_is_made_once_for_its_owner_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIERWISE_LEDGER_KEY", raising=False)
    for call in ("c1", "c2"):
        with SQLiteLedger(path) as ledger:
            ledger.begin(a_row(call), Task("same"))
            kept = ledger.rows()
    assert kept[0].prompt_hash == kept[1].prompt_hash
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_the_key_may_come_from_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERWISE_LEDGER_KEY", "from outside")
    with SQLiteLedger(path) as ledger:
        ledger.begin(a_row(), Task("same"))
        [first] = ledger.rows()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with SQLiteLedger(path.with_name("other.db"), key="from outside") as other:
        other.begin(a_row(), Task("same"))
        assert other.rows()[0].prompt_hash == first.prompt_hash


def write_secrets(ledger: SQLiteLedger) -> None:
    task = Task(f"prompt {SECRET}", tools=[{"name": "look", "parameters": {"type": "object"}}])
    row = a_row(state="settled")
    ledger.begin(row, task)
    calls = (ToolCall("look", {"for": SECRET}),)
    ledger.settle(replace(row, verdict="reject", verifier="Judge", evidence=f"says {SECRET}", score=0.4), None)
    ledger.settle(
        replace(row, error_type="RateLimitError", error=f"body {SECRET}", evidence=SECRET),
        an_outcome(tool_calls=calls),
    )
    ledger.flush()


def test_without_content_no_word_of_it_reaches_the_disk(ledger: SQLiteLedger, path: Path) -> None:
    write_secrets(ledger)
    assert SECRET.encode() not in everything_in(path.parent)
    assert ledger.rows()[0].error_type == "RateLimitError"


def test_with_content_prompt_and_answer_are_kept(path: Path) -> None:
    with SQLiteLedger(path, content=True, key=KEY) as ledger:
        write_secrets(ledger)
        [kept] = ledger.rows()
    assert json.loads(kept.prompt or "")[0]["content"] == f"prompt {SECRET}"
    assert kept.answer == SECRET
    assert json.loads(kept.answer_calls or "") == [{"name": "look", "arguments": {"for": SECRET}}]


def test_a_run_without_content_keeps_neither_judgement_nor_error_text(ledger: SQLiteLedger, path: Path) -> None:
    def answer(attempt: Attempt) -> str | Outcome:
        if attempt.purpose == "judge":
            return json.dumps({"reason": f"it says {SECRET}", "score": 2})
        if attempt.model.name == "second":
            raise RateLimitError(f"slow down, {SECRET}", status=429)
        return f"an answer with {SECRET}"

    fleet = Fleet([Tier("small", ["a:first"]), Tier("large", ["a:second", "a:third"])])
    reply = Router(fleet, backends={"a": answer}, ledger=ledger).run(f"what is {SECRET}?")
    assert SECRET in str(reply.attempts)
    ledger.flush()
    assert SECRET.encode() not in everything_in(path.parent)
    draft = next(row for row in ledger.rows(run=reply.run_id) if row.verdict == "reject")
    assert (draft.verifier, draft.score, draft.threshold) == ("Judge", 0.2, 0.7)


def test_what_a_provider_sends_cannot_stop_the_ledger(ledger: SQLiteLedger) -> None:
    ledger.settle(a_row(answered_by="\ud800 \x00 name", usage=Usage(10**30, -(10**30))))
    [kept] = ledger.rows()
    assert kept.answered_by == "? \x00 name"
    assert kept.usage == Usage(2**63 - 1, -(2**63 - 1))


# When it cannot be written


def damage(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is no database, whatever its name says" * 100)


def test_a_damaged_file_is_logged_once_and_the_call_goes_on(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage(path)
    with SQLiteLedger(path) as ledger:
        reply = Router(Fleet([Tier("only", ["a:x"])]), backends={"a": lambda text: "Paris."}, ledger=ledger).run("hi")
        ledger.flush()
        assert reply.text == "Paris."
        assert ledger.lost >= 2
    [warning] = [record for record in caplog.records if record.name == "tierwise.ledger"]
    assert "move it away" in warning.getMessage()


def test_with_raise_no_call_is_made_without_its_row(ledger: SQLiteLedger, path: Path) -> None:
    called: list[str] = []
    fleet = Fleet([Tier("only", ["a:x"])])
    router = Router(fleet, backends={"a": lambda text: called.append("yes") or "Paris."}, ledger=ledger)
    router.run("hi")
    ledger.flush()
    assert ledger._writer._db is not None
    ledger._writer._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(LedgerError, match="disk is full"):
        _ = [router.run("hi") for _ in range(1000)]
    assert len([row for row in ledger.rows() if row.prompt_hash]) == len(called)
    assert ledger.lost > 0
    with pytest.raises(LedgerError):
        ledger.flush()


def test_with_raise_a_damaged_file_is_refused_at_once(path: Path) -> None:
    damage(path)
    with pytest.raises(LedgerError, match="no database"):
        SQLiteLedger(path, on_error="raise")


def test_a_mended_disk_is_written_to_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage(path)
    with SQLiteLedger(path) as ledger:
        ledger.begin(a_row("lost"), Task("hi"))
        assert ledger.lost == 1
        path.unlink()
        ledger.begin(a_row("kept"), Task("hi"))
        assert [row.call_id for row in ledger.rows()] == ["kept"]


@pytest.mark.parametrize("on_error", ["warn", "raise"])
def test_a_file_that_stays_locked_is_named(
    path: Path, on_error: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    with SQLiteLedger(path, key=KEY, on_error=on_error) as ledger:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerError) if on_error == "raise" else nullcontext():
                ledger.begin(a_row("lost"), Task("hi"))
            other.execute("ROLLBACK")
        ledger.begin(a_row("kept"), Task("hi"))
        assert (ledger.lost, [row.call_id for row in ledger.rows()]) == (1, ["kept"])
    assert "another program holds the file" in caplog.text


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 99", "PRAGMA application_id = 7"])
def test_a_file_of_the_future_or_of_others_is_left_alone(path: Path, statement: str) -> None:
    SQLiteLedger(path, key=KEY).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
    before = path.read_bytes()
    with pytest.raises(LedgerError, match=r"upgrade tierwise|belongs to something else"):
        SQLiteLedger(path, key=KEY)
    with pytest.raises(LedgerError, match=r"upgrade tierwise|belongs to something else"):
        SQLiteReader(path).rows()
    assert path.read_bytes() == before


def test_an_old_file_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SQLiteLedger(path, key=KEY) as ledger:
        ledger.begin(a_row(), Task("hi"))
    newer = (*MIGRATIONS, "ALTER TABLE calls ADD COLUMN colour TEXT DEFAULT 'red'; CREATE INDEX c ON calls (colour)")
    monkeypatch.setattr(schema_module, "MIGRATIONS", newer)
    with SQLiteLedger(path, key=KEY) as ledger:
        assert len(ledger.rows()) == 1
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT colour FROM calls").fetchall() == [("red",)]
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        migrate(db, str(path))


def test_settings_that_cannot_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="on_error='explode'"):
        SQLiteLedger(tmp_path / "a.db", on_error="explode")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs a file"):
        SQLiteLedger(":memory:")


# Its end


def test_a_closed_ledger_keeps_nothing_more(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ledger = SQLiteLedger(path, key=KEY, on_error="raise")
    ledger.settle(a_row())
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="closed"):
        ledger.begin(a_row("c2"), Task("hi"))
    ledger.settle(a_row("c2"))
    assert ledger.lost == 2
    assert [row.call_id for row in ledger.rows()] == ["c1"]
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name]


def test_a_ledger_that_is_dropped_writes_what_is_queued_and_ends_its_thread(path: Path) -> None:
    before = set(threading.enumerate())
    ledger = SQLiteLedger(path, key=KEY)
    for i in range(500):
        ledger.settle(a_row(f"c{i}"))
    assert set(threading.enumerate()) - before
    del ledger
    assert not set(threading.enumerate()) - before
    with SQLiteLedger(path, key=KEY) as again:
        assert len(again.rows()) == 500


def test_calls_of_the_living_stay_intents_and_those_of_the_dead_are_in_doubt(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SQLiteLedger(path, key=KEY) as ledger:
        for call in ("living", "dead", "rebooted", "elsewhere"):
            ledger.begin(a_row(call), Task("hi"))
        with closing(sqlite3.connect(path)) as db:
            (ours,) = db.execute("SELECT DISTINCT process FROM calls").fetchone()
            place, boot, pid, _ = ours.split()
            for call, process in {
                "dead": f"{place} {boot} {pid} 1",
                "rebooted": f"{place} another-boot {pid} 1",
                "elsewhere": f"other {boot} {pid} 1",
            }.items():
                db.execute("UPDATE calls SET process = ? WHERE call_id = ?", (process, call))
            db.commit()
        with caplog.at_level(logging.WARNING, logger="tierwise.ledger"), SQLiteLedger(path, key=KEY) as other:
            states = {row.call_id: row.state for row in other.rows()}
    assert states == {"living": "intent", "dead": "unknown", "rebooted": "unknown", "elsewhere": "intent"}
    assert "2 calls of a process that died" in caplog.text


# Reading


@pytest.fixture
def filled(ledger: SQLiteLedger) -> SQLiteLedger:
    big = Usage(100, 10, cached_tokens=40, reasoning_tokens=4)
    for row in (
        a_row("c1", "r1", started_at=10.0, job="plan", session="s", cost=Decimal("0.1"), usage=big, latency=1.0),
        a_row("c2", "r1", started_at=20.0, tier="large", model="b:y", cost=Decimal("0.2"), job="plan", session="s"),
        a_row("c3", "r2", started_at=30.0, purpose="judge", usage=Usage(5, 5, estimated=True), latency=0.5),
        a_row("c4", "r2", started_at=40.0, state="refused", cost=Decimal(0), error_type="LimitError"),
        a_row("c5", "r3", started_at=50.0, state="unknown", job="=SUM(A1)"),
    ):
        ledger.settle(row if row.state != "intent" else replace(row, state="settled"))
    return ledger


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "c1 c2 c3 c4 c5"),
        ({"limit": 2}, "c4 c5"),
        ({"run": "r1"}, "c1 c2"),
        ({"session": "s", "tier": "large"}, "c2"),
        ({"since": 20.0, "until": 40.0}, "c2 c3"),
        ({"until": datetime.fromtimestamp(20, UTC)}, "c1"),
        ({"model": "b:y"}, "c2"),
        ({"job": "plan", "limit": 1}, "c2"),
        ({"run": None, "job": "nothing"}, ""),
    ],
)
def test_rows_are_found_by_what_is_asked(filled: SQLiteLedger, filters: dict[str, Any], expected: str) -> None:
    assert " ".join(row.call_id for row in filled.rows(**filters)) == expected


def test_totals_tell_known_cost_from_unpriced_calls(filled: SQLiteLedger) -> None:
    large, small = filled.totals("tier")
    assert (large.key, large.calls, large.cost, large.unpriced) == ("large", 1, Decimal("0.2"), 0)
    assert (small.key, small.calls, small.refused, small.in_doubt) == ("small", 3, 1, 1)
    assert (small.cost, small.unpriced, small.latency) == (Decimal("0.1"), 2, 1.5)
    assert (small.input_tokens, small.output_tokens, small.cached_tokens, small.reasoning_tokens) == (105, 15, 40, 4)
    assert small.estimated == 1
    assert {total.key: total.calls for total in filled.totals("job")} == {"plan": 2, None: 1, "=SUM(A1)": 1}
    assert [total.key for total in filled.totals("model", since=20.0, until=30.0)] == ["b:y"]
    with pytest.raises(UnknownNameError, match="did you mean 'model'"):
        filled.totals("modell")  # type: ignore[arg-type]


def test_costs_are_added_without_loss(ledger: SQLiteLedger) -> None:
    for i in range(1000):
        ledger.settle(a_row(f"c{i}", cost=Decimal("0.000001")))
    assert ledger.totals()[0].cost == Decimal("0.001")


def test_runs_are_listed_latest_first(filled: SQLiteLedger) -> None:
    runs = filled.runs()
    assert [run.run_id for run in runs] == ["r3", "r2", "r1"]
    assert (runs[2].calls, runs[2].cost, runs[2].job, runs[2].session) == (2, Decimal("0.3"), "plan", "s")
    assert (runs[1].calls, runs[1].unpriced, runs[1].tier) == (1, 1, None)
    assert [run.run_id for run in filled.runs(1)] == ["r3"]


def test_exports_are_complete_and_harmless(filled: SQLiteLedger) -> None:
    table = list(csv.DictReader(io.StringIO("".join(filled.export("csv")))))
    assert [line["call_id"] for line in table] == ["c1", "c2", "c3", "c4", "c5"]
    assert (table[0]["cost"], table[2]["cost"], table[0]["input_tokens"]) == ("0.1", "", "100")
    assert table[4]["job"] == "'=SUM(A1)"
    assert table[0]["started_at"] == "1970-01-01T00:00:10.000000+00:00"
    lines = [json.loads(line) for line in filled.export("jsonl", run="r1")]
    assert [
        (line["call_id"], line["cost"], line["usage" if "usage" in line else "output_tokens"]) for line in lines
    ] == [
        ("c1", "0.1", 10),
        ("c2", "0.2", None),
    ]
    with pytest.raises(UnknownNameError, match="xml"):
        filled.export("xml")  # type: ignore[arg-type]


def test_reading_where_there_is_no_ledger_says_so(tmp_path: Path) -> None:
    ledger = SQLiteLedger(tmp_path / "gone.db", key=KEY)
    ledger.close()
    ledger.path.unlink()
    with pytest.raises(LedgerError, match="there is no ledger at"):
        ledger.rows()
    assert os.listdir(tmp_path) == []


# Purging


def test_purged_rows_are_gone_from_the_disk(path: Path) -> None:
    with SQLiteLedger(path, content=True, key=KEY) as ledger:
        write_secrets(ledger)
        ledger.begin(a_row("later", started_at=5000.0), Task("hi"))
        assert SECRET.encode() in everything_in(path.parent)
        assert ledger.purge(before=2000.0) == 1
        assert SECRET.encode() not in everything_in(path.parent)
        assert ledger.purge(before=math.inf) == 0, "a call under way stays"
        assert [row.call_id for row in ledger.rows()] == ["later"]


def test_content_alone_can_be_purged(path: Path) -> None:
    with SQLiteLedger(path, content=True, key=KEY) as ledger:
        write_secrets(ledger)
        ledger.settle(a_row("plain", state="settled", evidence="fits the schema", quotes=False))
        assert ledger.purge(before=math.inf, content_only=True) == 1
        assert ledger.purge(before=math.inf, content_only=True) == 0
        assert SECRET.encode() not in everything_in(path.parent)
        kept = {row.call_id: row for row in ledger.rows()}
    assert kept["plain"].evidence == "fits the schema"
    assert kept["c1"].error_type == "RateLimitError"
    assert kept["c1"].prompt_hash is not None


def test_a_prompt_that_cannot_be_written_costs_no_other_row(ledger: SQLiteLedger) -> None:
    nested: dict[str, Any] = {}
    nested["itself"] = nested
    odd = Task([Message("user", "hi", tool_calls=(ToolCall("look", nested),))])
    with pytest.raises(LedgerError, match="Circular"):
        ledger.begin(a_row("odd"), odd)
    ledger.begin(a_row("plain"), Task("hi"))
    assert [row.call_id for row in ledger.rows()] == ["plain"]
    assert ledger.lost == 1
