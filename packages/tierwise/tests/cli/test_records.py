"""`tierwise receipt`, `ledger` and `audit`: what is kept of real runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tierwise.testing.provider import LoopbackProvider

pytest.importorskip("tierwise_ollama")
pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture
def runs(tierwise: Any) -> list[str]:
    """Two answered runs, oldest first."""
    return [json.loads(tierwise("ask", q, "--json", "--job", "answer").out)["run_id"] for q in ("2 + 2?", "3 + 3?")]


def test_the_receipt_of_the_latest_run(tierwise: Any, runs: list[str]) -> None:
    result = tierwise("receipt")
    assert result.code == 0
    assert "ollama:qwen3:4b" in result.out
    assert "estimated saving" in result.out
    assert "┃" not in result.out
    latest = json.loads(tierwise("receipt", "--format", "json").out)
    assert {row["run_id"] for row in latest["rows"]} == {runs[-1]}


def test_the_receipt_of_a_run_by_its_id_or_its_beginning(tierwise: Any, runs: list[str]) -> None:
    for given in (runs[0], runs[0][:-1]):
        found = json.loads(tierwise("receipt", given, "--format", "json").out)
        assert {row["run_id"] for row in found["rows"]} == {runs[0]}
    ambiguous = tierwise("receipt", runs[0][:2])
    assert ambiguous.code == 2
    assert "2 runs begin with" in ambiguous.err
    assert tierwise("receipt", "zzz").code == 2


def test_a_receipt_in_every_form(tierwise: Any, runs: list[str], home: Path) -> None:
    assert len(list(csv.DictReader(tierwise("receipt", "--format", "csv").out.splitlines()))) == 2
    result = tierwise("receipt", "--format", "html", "-o", "bill.html")
    assert (result.code, result.out, result.err) == (0, "", "wrote bill.html\n")
    assert (home / "bill.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")


def test_the_ledger_lists_and_adds_up(tierwise: Any, runs: list[str]) -> None:
    listed = [line.split("\t") for line in tierwise("ledger", "list").out.splitlines()]
    assert [line[0] for line in listed[1:]] == runs[::-1]
    assert listed[1][2:6] == ["answer", "small", "2", "$0"]
    assert len(tierwise("ledger", "list", "--limit", "1").out.splitlines()) == 2
    totals = {line.split("\t")[0]: line.split("\t")[1] for line in tierwise("ledger", "totals").out.splitlines()}
    assert totals == {"tier": "calls", "small": "2", "large": "2"}
    by_job = tierwise("ledger", "totals", "--by", "job", "--tier", "large").out
    assert by_job.splitlines()[1].startswith("judge\t2\t")


def test_the_ledger_is_exported(tierwise: Any, runs: list[str], home: Path) -> None:
    rows = [json.loads(line) for line in tierwise("ledger", "export", "--format", "jsonl").out.splitlines()]
    assert len(rows) == 4
    assert tierwise("ledger", "export", "--model", "ollama:qwen3:4b", "-o", "calls.csv").out == ""
    with (home / "calls.csv").open(newline="", encoding="utf-8") as file:
        assert [row["purpose"] for row in csv.DictReader(file)] == ["answer", "answer"]


def test_nothing_of_the_prompt_is_in_the_ledger(tierwise: Any, runs: list[str], home: Path) -> None:
    assert b"3 + 3?" not in (home / "calls.db").read_bytes()


def test_the_ledger_is_purged_only_when_told_what(tierwise: Any, runs: list[str]) -> None:
    assert tierwise("ledger", "purge").code == 2
    assert tierwise("ledger", "purge", "--older-than", "1").err == "0 calls deleted\n"
    assert tierwise("ledger", "purge", "--all").err == "4 calls deleted\n"
    assert tierwise("receipt").err == "tierwise: the ledger {} holds no run yet\n".format(Path.cwd() / "calls.db")


def test_an_audit_tells_the_split_and_changes_nothing(tierwise: Any, runs: list[str], home: Path) -> None:
    before = tierwise("ledger", "export").out
    result = tierwise("audit")
    assert "┃" not in result.out
    assert result.code == 0
    assert "structured" in result.out
    assert "small" in result.out
    assert json.loads(tierwise("audit", "--json").out)["calls"] == 4
    assert tierwise("ledger", "export").out == before


def test_a_ledger_may_be_named_without_settings(tierwise: Any, runs: list[str], settings: Path) -> None:
    settings.unlink()
    assert tierwise("receipt", "--ledger", "calls.db").code == 0
    assert tierwise("audit", "--ledger", "calls.db").code == 0
    assert tierwise("ledger", "list", "--ledger", "calls.db").out.count("\n") == 3


@pytest.mark.parametrize("command", [("receipt",), ("ledger", "list"), ("ledger", "export"), ("audit",)])
def test_without_a_ledger_it_says_what_to_do(tierwise: Any, settings: Path, command: tuple[str, ...]) -> None:
    assert "nothing has been recorded yet" in tierwise(*command).err
    settings.write_text(settings.read_text().split("[ledger]")[0], encoding="utf-8")
    result = tierwise(*command)
    assert result.code == 2
    assert "add [ledger] with a path, or give --ledger FILE" in result.err


def test_a_file_that_is_no_ledger_is_not_touched(tierwise: Any, home: Path) -> None:
    (home / "calls.db").write_text("my poems", encoding="utf-8")
    result = tierwise("ledger", "list")
    assert result.code == 5
    assert (home / "calls.db").read_text() == "my poems"


def test_receipts_do_not_call_anyone(tierwise: Any, runs: list[str], provider: LoopbackProvider) -> None:
    with provider.refusing():
        assert tierwise("receipt").code == 0
        assert tierwise("audit").code == 0
