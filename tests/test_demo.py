"""The demo, on real models: what it promises happens for real, and is not staged."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest
from rich.console import Console
from tierwise.cli.demo import run_demo
from tierwise.ledger import Row

pytestmark = pytest.mark.models


def test_the_demo_shows_what_it_promises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens there: the demo brings its own models along.
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    console = Console(record=True, width=120)
    page = tmp_path / "receipt.html"

    receipt = run_demo(console, page)

    runs = [list(rows) for _, rows in groupby(receipt.rows, key=lambda row: row.run_id)]
    assert len(runs) == 6
    assert any(accepted_at(rows, "small") for rows in runs), "no task was answered by the smallest tier"
    assert any(escalated(rows) for rows in runs), "no task went up"
    assert any(sum(row.reason.startswith("vote") for row in rows) == 3 for rows in runs)
    assert any(row.typed and row.job == "extract" and row.verdict == "accept" for row in receipt.rows)
    assert receipt.cost == 0
    assert receipt.saving is not None
    assert receipt.saving.usd is not None
    assert "estimated" in console.export_text()
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def accepted_at(rows: list[Row], tier: str) -> bool:
    return any(row.tier == tier and row.purpose == "answer" and row.verdict == "accept" for row in rows)


def escalated(rows: list[Row]) -> bool:
    drafts = [row for row in rows if row.tier == "small" and row.purpose == "draft" and row.verdict == "reject"]
    return bool(drafts) and accepted_at(rows, "large")
