"""The storm in small, and that it would notice."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tierwise.ledger.rows import Row

STORM = Path(__file__).parent.parent / "benchmarks" / "storm"
PATIENCE = 300.0


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_a_small_storm(store: str, request: pytest.FixtureRequest) -> None:
    command = [sys.executable, str(STORM), "--calls=300", "--in-flight=20", "--seed=20261122", "--grace=3"]
    if store == "redis":
        command.append(f"--redis={request.getfixturevalue('tierwise_redis')}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout
    for word in ("answered by small", "answered by large", "BudgetExceededError", "CircuitOpenError", "settled"):
        assert word in done.stdout, done.stdout


@pytest.fixture(scope="module")
def tally() -> dict[str, Any]:
    return runpy.run_path(str(STORM / "tally.py"))


def counts(tally: dict[str, Any], **found: Any) -> Any:
    """Two questions: one was answered, and one was asked again because its process was killed."""
    watched = tally["Watched"]("all", Decimal(1), highest=Decimal(1), spent=Decimal("0.5"), readings=9)
    good: dict[str, Any] = {
        "said": [{"number": 0, "ended": "answered", "problem": ""}, {"number": 1, "ended": "a", "problem": ""}],
        "rows": [row("0", "settled"), row("1", "unknown"), row("1", "settled"), row("1", "refused")],
        "reached": Counter({("0", "small"): 1, ("1", "small"): 1}),
        "budgets": [watched],
    }
    return tally["Counts"](seed=1, asked=2, **(good | found))


def row(node: str, state: Any, error_type: str | None = None) -> Row:
    return Row(f"{node} {state}", "run", node=node, state=state, model="ollama:small", error_type=error_type)


def broken(tally: dict[str, Any], **found: Any) -> list[str]:
    return [check.what for check in tally["checks"](counts(tally, **found)) if not check.holds]


def test_what_holds(tally: dict[str, Any]) -> None:
    assert broken(tally) == []
    assert "BROKEN" not in "".join(tally["table"](counts(tally)))


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ({"said": [{"number": 0, "ended": "a", "problem": ""}]}, "every question has one end"),
        ({"said": [{"number": n, "ended": "a", "problem": ""} for n in (0, 1, 1)]}, "every question has one end"),
        (
            {"said": [{"number": n, "ended": "KeyError", "problem": "KeyError()"} for n in (0, 1)]},
            "which is a whole answer or a typed error",
        ),
        (
            {"reached": Counter({("0", "small"): 2, ("1", "small"): 1})},
            "each call that the provider counted has its row",
        ),
        (
            {"rows": [row("0", "settled"), row("1", "intent"), row("1", "settled")]},
            "no row is left open",
        ),
        (
            {"reached": Counter({("1", "small"): 2})},
            "a row without such a call is of one that never left",
        ),
        ({"reserved": Decimal("0.1")}, "nothing is reserved when the leases have ended"),
        ({"places": 1}, "nothing is reserved when the leases have ended"),
    ],
)
def test_what_does_not(tally: dict[str, Any], found: dict[str, Any], what: str) -> None:
    assert what in broken(tally, **found)
    assert f"BROKEN  {what}" in "".join(tally["table"](counts(tally, **found)))


@pytest.mark.parametrize("figure", ["highest", "spent"])
def test_a_budget_that_was_exceeded(tally: dict[str, Any], figure: str) -> None:
    budget = tally["Watched"]("all", Decimal(1), **{figure: Decimal("1.1")})
    assert broken(tally, budgets=[budget]) == ["budget 'all' is never exceeded"]
