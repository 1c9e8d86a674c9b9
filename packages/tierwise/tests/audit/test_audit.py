"""What an audit tells of a ledger's rows, by which evidence, and what it does not claim."""

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tierwise import Fleet, ModelSpec, Price, Router, Single, Tier, Usage
from tierwise.audit import audit, find
from tierwise.fleet.pricing import Pricing
from tierwise.ledger import Row, SQLiteLedger

SMALL = ModelSpec("a:small", price=Price(1, 1))
LARGE = ModelSpec("b:large", price=Price(100, 100))
PRICING = Pricing(Fleet([Tier("small", [SMALL]), Tier("large", [LARGE])]))


def a_row(number: int = 0, **changes: Any) -> Row:
    known: dict[str, Any] = {
        "run_id": f"r{number}",
        "state": "settled",
        "started_at": 1_700_000_000.0 + number,
        "tier": "large",
        "model": "b:large",
        "usage": Usage(1000, 1000),
        "cost": Decimal("0.2"),
    }
    return Row(f"c{number}", **(known | changes))


def a_try(number: int, **changes: Any) -> Row:
    """A structured call of the small model."""
    small: dict[str, Any] = {"model": "a:small", "tier": "small", "cost": Decimal("0.002"), "job": "extract"}
    return a_row(number, **(small | {"verdict": "accept"} | changes))


@pytest.mark.parametrize(
    ("fields", "share", "evidence"),
    [
        ({"job": "extract"}, "structured", "orchestration job"),
        ({"job": "code"}, "structured", "execution job"),
        ({"job": "plan"}, "reasoning", "reasoning job"),
        ({"job": "plan", "typed": True, "tool_calls": 1}, "reasoning", "reasoning job"),
        ({"job": "knitting"}, "unclear", "neither job nor shape tells"),
        ({"job": "knitting", "tool_calls": 2}, "structured", "tool-call turn"),
        ({"typed": True}, "structured", "typed output"),
        ({"verdict": "accept", "conclusive": True}, "structured", "accepted on conclusive evidence"),
        ({"verdict": "reject", "conclusive": True}, "unclear", "neither job nor shape tells"),
        ({"verdict": "accept"}, "unclear", "neither job nor shape tells"),
        ({"purpose": "synthesis"}, "reasoning", "purpose synthesis"),
        ({"purpose": "judge", "typed": True, "job": "judge"}, "overhead", "purpose judge"),
        ({"tools": 5, "tool_calls": 0}, "unclear", "neither job nor shape tells"),
    ],
)
def test_a_call_is_told_by_its_job_and_then_by_its_shape(fields: dict[str, Any], share: str, evidence: str) -> None:
    found = find(a_row(**fields))
    assert (found.share, found.evidence) == (share, evidence)


def test_the_split_adds_up_by_tier_model_and_job() -> None:
    rows = [
        a_row(1, job="extract"),
        a_row(2, job="plan"),
        a_row(3, cost=None, usage=None),
        a_try(4),
        a_row(5, state="refused", error_type="LimitError", cost=Decimal(0)),
        a_row(6, error_type="RateLimitError"),
    ]
    report = audit(rows)
    assert (report.calls, report.refused, report.failed) == (4, 1, 1)
    assert [(s.share, s.calls, s.cost, s.unpriced) for s in report.shares] == [
        ("structured", 2, Decimal("0.202"), 0),
        ("reasoning", 1, Decimal("0.2"), 0),
        ("unclear", 1, Decimal(0), 1),
    ]
    for slices in (report.evidence, *report.by.values()):
        assert sum(s.calls for s in slices) == 4
        assert sum(s.cost for s in slices) == Decimal("0.402")
    assert [(s.share, s.key, s.calls) for s in report.by["tier"] if s.share == "structured"] == [
        ("structured", "large", 1),
        ("structured", "small", 1),
    ]


def test_own_jobs_can_be_named() -> None:
    assert audit([a_row(job="knitting")], jobs={"knitting": "reasoning"}).shares[0].share == "reasoning"


def test_the_saving_is_net_of_the_tries_and_of_what_escalates() -> None:
    rows = [a_row(1, job="extract"), a_row(2, typed=True), a_row(3, job="plan")]
    rows += [a_try(4), a_try(5), a_try(6), a_try(7, verdict="reject", purpose="draft")]
    projection = audit(rows, PRICING, small=SMALL).projection
    assert projection is not None
    assert (projection.calls, projection.cost, projection.small_cost) == (2, Decimal("0.4"), Decimal("0.004"))
    assert projection.escalation_rate == 0.25
    assert projection.saving == Decimal("0.4") * Decimal("0.75") - Decimal("0.004")
    assert projection.most == Decimal("0.396")
    assert projection.break_even == pytest.approx(0.99)
    assert any("1 of 4" in assumed for assumed in projection.assumptions)


def test_a_run_in_which_the_small_model_was_tried_is_not_moved_there_again() -> None:
    rows = [a_row(1, typed=True), a_try(2, purpose="draft", verdict="reject"), a_row(3, typed=True, run_id="r2")]
    projection = audit([*rows, a_row(4, typed=True, purpose="draft")], PRICING, small=SMALL).projection
    assert projection is not None
    assert (projection.calls, projection.tried, projection.escalation_rate) == (1, 1, 1.0)
    assert projection.saving == Decimal("-0.002")


def test_an_escalation_rate_that_was_not_observed_is_unknown() -> None:
    report = audit([a_row(job="extract")], PRICING, small=SMALL)
    assert report.projection is not None
    assert (report.projection.saving, report.projection.escalation_rate) == (None, None)
    assert "Estimated saving: unknown" in str(report)
    assert "at most $0.198" in str(report)


def test_a_small_model_may_cost_more() -> None:
    dear = ModelSpec("c:dear", price=Price(1000, 1000))
    projection = audit([a_row(job="extract")], PRICING, small=dear).projection
    assert projection is not None
    assert projection.most == Decimal("-1.8")
    assert projection.break_even == 0.0


@pytest.mark.parametrize(
    ("rows", "small", "said"),
    [
        ([], SMALL, "there are no calls to look at"),
        ([a_row(job="plan")], SMALL, "there are no structured calls"),
        ([a_row(job="extract")], None, "name a small model"),
        ([a_row(job="extract")], ModelSpec("x:nobody-knows"), "the price of x:nobody-knows is not known"),
        ([a_row(job="extract", cost=None)], SMALL, "no structured answer of known tokens and price"),
        ([a_try(1)], SMALL, "no structured answer of known tokens and price"),
    ],
)
def test_where_nothing_is_known_nothing_is_estimated(rows: list[Row], small: ModelSpec | None, said: str) -> None:
    report = audit(rows, PRICING, small=small)
    assert said in str(report)
    assert "Estimated" not in str(report)
    assert json.loads(report.to_json())["calls"] == len(rows)


def test_the_report_is_the_same_in_each_form() -> None:
    rows = [a_row(1, job="extract"), a_row(2, job="\x1b[31mred"), a_try(3)]
    report = audit(rows, PRICING, small=SMALL)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(report)
    told = json.loads(report.to_json())
    for text in (str(report), console.export_text()):
        assert "Audit of 3 calls, 2023-11-14 to 2023-11-14" in text
        assert "orchestration job" in text
        assert "Estimated saving: $0.198 at the observed escalation rate of 0%" in text
        assert "\x1b" not in text
    assert told["projection"]["saving"] == "0.198"
    assert told["projection"]["estimated"] is True


def test_a_ledger_can_be_audited_and_is_not_changed(tmp_path: Path) -> None:
    fleet = Fleet([Tier("small", [SMALL]), Tier("large", [LARGE])])
    with SQLiteLedger(tmp_path / "ledger.db", key=b"key") as ledger:
        router = Router(fleet, strategy=Single(), backends={"a": lambda _: "1", "b": lambda _: "2"}, ledger=ledger)
        router.run("sum up", job="summarize")
        router.run("think", job="plan")
        before = ledger.rows()
        report = audit(ledger.rows(), PRICING, small=SMALL)
        assert ledger.rows() == before
    assert [(s.share, s.key) for s in report.by["job"]] == [("structured", "summarize"), ("reasoning", "plan")]
    assert report.shares[0].estimated == 1
