"""The ledger where processes die and disks fail, and what it keeps of what was said."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tierwise import Cascade, Single
from tierwise.errors import LedgerError
from tierwise.ledger import SQLiteLedger, database
from tierwise.testing.provider import Call, Reply

from .scene import Scene, Way, no

HELLO = Reply(text="Hello there.")
PROMPT = "Tell me of the harbour-master's daughter."
ANSWER = "She counts the herring-gulls."


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_fault_29_a_process_killed_between_reply_and_row_leaves_a_call_in_doubt(scene: Scene) -> None:
    scene.provider.on("small", HELLO)
    caller = Path(__file__).with_name("caller.py")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    arguments = [sys.executable, str(caller), scene.provider.url, str(scene.path)]
    ran = subprocess.run(arguments, env=environment, timeout=60, check=False)
    assert ran.returncode == -9
    assert scene.provider.calls[0].completed, "the provider answered, and billed"
    (row,) = scene.ledger.rows()
    assert (row.state, row.model, row.session, row.cost) == ("unknown", "ollama:small", "s1", None)
    (total,) = scene.ledger.totals()
    assert (total.in_doubt, total.unpriced) == (1, 1)


# The ledger fails


class Disk:
    """A ledger whose disk has no room left."""

    @staticmethod
    def full(ledger: SQLiteLedger) -> None:
        ledger.flush()
        assert ledger._writer._db is not None
        ledger._writer._db.execute("PRAGMA max_page_count = 1")

    @staticmethod
    def damaged(ledger: SQLiteLedger) -> None:
        ledger._writer.release()
        for file in ledger.path.parent.glob("ledger.db*"):
            if file.suffix != ".key":
                file.write_bytes(b"this is no database, whatever its name says" * 100)


@pytest.mark.parametrize("fault", [Disk.full, Disk.damaged], ids=["full", "damaged"])
def test_fault_30_by_default_the_call_still_answers_and_the_loss_is_logged_and_counted(
    scene: Scene, way: Way, fault: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(fault)
    scene.provider.on("small", HELLO)
    router = scene.router(strategy=Single())
    fault(scene.ledger)
    scene.records = False
    for _ in range(20):  # a full disk has room for a few rows in the pages that it has
        assert scene.ask(router, "x" * 100, way=way, session="y" * 2000).answer.text == "Hello there."
    scene.ledger.flush()
    assert scene.ledger.lost > 0
    warnings = [record for record in caplog.records if record.name == "tierwise.ledger"]
    assert 1 <= len(warnings) <= 2, "once for each cause, not once for each row"
    assert "calls are made without being recorded" in warnings[0].getMessage()


@pytest.mark.parametrize("fault", [Disk.full, Disk.damaged], ids=["full", "damaged"])
def test_fault_30_where_each_call_must_have_a_row_none_is_made_without(scene: Scene, way: Way, fault: object) -> None:
    assert callable(fault)
    scene.provider.on("small", HELLO)
    router = scene.router(strategy=Single(), ledger=scene.use(SQLiteLedger(scene.path, on_error="raise")))
    fault(scene.ledger)
    scene.records = False
    got = [scene.ask(router, "x" * 100, way=way, session="y" * 2000) for _ in range(20)]
    refused = [one for one in got if isinstance(one.error, LedgerError)]
    assert refused
    assert scene.provider.count() == len(got) - len(refused)


def test_fault_30_a_ledger_that_another_program_locks(
    scene: Scene, way: Way, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    scene.provider.on("small", HELLO)
    router = scene.router(strategy=Single())
    scene.ask(router)
    scene.ledger.flush()
    with closing(sqlite3.connect(scene.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert scene.ask(router, way=way).answer.text == "Hello there."
        scene.ledger.flush()
        other.execute("ROLLBACK")
    scene.unreached = -1  # the call whose row was lost
    assert scene.ledger.lost >= 2, "the intent, and what came of it"
    assert "another program holds the file" in caplog.text


def test_fault_30_a_path_through_a_link_overwrites_no_other_file(scene: Scene) -> None:
    scene.provider.on("small", HELLO)
    other = scene.folder / "notes.txt"
    other.write_text("do not lose this")
    link = scene.folder / "link.db"
    link.symlink_to(other)
    router = scene.router(strategy=Single(), ledger=scene.use(SQLiteLedger(link)))
    assert scene.ask(router).answer.text == "Hello there."
    scene.records = False
    assert other.read_text() == "do not lose this"


# What it keeps


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def words(text: str) -> list[bytes]:
    return [word.strip(".").encode() for word in text.split() if len(word) > 5]


def test_fault_42_by_default_nothing_is_kept_of_what_was_said(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text=ANSWER, tool_calls=[Call("lookup", {"of": "the herring-gulls"})]))
    scene.provider.on("large", Reply(status=400, error=f"cannot read {PROMPT!r}"))
    router = scene.router(strategy=Cascade(no))
    scene.ask(router, PROMPT, way=way, system="The lighthouse-keeper speaks.")
    scene.ledger.flush()
    kept = everything_in(scene.folder)
    for word in words(f"{PROMPT} {ANSWER} lighthouse-keeper"):
        assert word not in kept
    row = scene.ledger.rows()[0]
    assert row.prompt_chars == len(PROMPT) + len("The lighthouse-keeper speaks.")
    assert len(row.prompt_hash or "") == 64


def test_fault_42_what_was_opted_in_can_be_purged_without_a_trace(scene: Scene) -> None:
    scene.provider.on("small", Reply(text=ANSWER))
    ledger = scene.use(SQLiteLedger(scene.path, content=True))
    scene.ask(scene.router(strategy=Single(), ledger=ledger), PROMPT)
    ledger.flush()
    (row,) = ledger.rows()
    assert PROMPT in (row.prompt or "")
    assert row.answer == ANSWER
    ledger.purge(before=math.inf, content_only=True)
    (row,) = ledger.rows()
    assert (row.prompt, row.answer, row.prompt_chars) == (None, None, len(PROMPT))
    for word in words(f"{PROMPT} {ANSWER}"):
        assert word not in everything_in(scene.folder)


@pytest.mark.skipif(sys.platform == "win32", reason="files have no modes there")
def test_fault_42_the_files_are_their_owners_alone(scene: Scene) -> None:
    scene.provider.on("small", HELLO)
    scene.ask(scene.router(strategy=Single()))
    scene.ledger.flush()
    assert {file.stat().st_mode & 0o077 for file in scene.folder.iterdir()} == {0}
