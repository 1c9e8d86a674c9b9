"""What a receipt says, in each of its forms, and that hostile text does nothing in any of them."""

import builtins
import csv
import io
import json
import re
import unicodedata
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tierwise import Fleet, ModelSpec, Price, Tier, Usage
from tierwise.errors import MissingExtraError
from tierwise.fleet.pricing import Pricing
from tierwise.ledger import Receipt, Row
from tierwise.ledger.render import cells

LARGE = ModelSpec("b:large", price=Price(100, 100))
FLEET = Fleet([Tier("small", [ModelSpec("a:small", price=Price(1, 1))]), Tier("large", [LARGE])])
USAGE = Usage(1000, 1000)


def a_row(call_id: str = "c1", run_id: str = "r1", **changes: Any) -> Row:
    known: dict[str, Any] = {
        "state": "settled",
        "started_at": 1_700_000_000.0,
        "tier": "small",
        "model": "a:small",
        "usage": USAGE,
        "cost": Decimal("0.002"),
        "latency": 1.5,
    }
    return Row(call_id, run_id, **(known | changes))


def receipt(*rows: Row) -> Receipt:
    return Receipt.of(rows, pricing=Pricing(FLEET), baseline=LARGE)


def in_terminal(shown: Receipt, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=True)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def words(text: str) -> str:
    """Text without the box and the colours of a terminal, in one line."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m|[┏┳┓┃┡╇┩│└┴┘━─]", " ", text).split())


def everywhere(shown: Receipt) -> list[str]:
    return [str(shown), words(in_terminal(shown)), shown.to_html(), words(in_terminal(shown, 80))]


# Savings


def test_a_saving_is_net_of_drafts_and_judges() -> None:
    shown = receipt(a_row("d", purpose="draft"), a_row("j", purpose="judge"), a_row("a"))
    assert shown.saving is not None
    assert shown.saving.baseline_cost == Decimal("0.2")
    assert shown.saving.usd == Decimal("0.2") - Decimal("0.006")
    for form in everywhere(shown):
        assert "estimated saving" in form
        assert "$0.194 (97%) against b:large" in form


def test_a_saving_may_be_negative_and_says_so() -> None:
    dear = a_row(cost=Decimal("0.3"))
    assert receipt(dear).saving is not None
    for form in everywhere(receipt(dear)):
        assert "-$0.10 (-50%) against b:large (this cost more)" in form


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (a_row(cost=None), "not every call has a known price"),
        (a_row(state="unknown", usage=None, cost=None), "no answer was delivered"),
        (a_row(error_type="RateLimitError"), "no answer was delivered"),
    ],
)
def test_a_saving_that_is_not_known_says_why(row: Row, why: str) -> None:
    for form in everywhere(receipt(row)):
        assert f"unknown against b:large: {why}" in form


def test_a_baseline_without_a_price_gives_no_saving() -> None:
    baseline = ModelSpec("x:nobody-knows")
    saving = Receipt.of([a_row()], pricing=Pricing(FLEET), baseline=baseline).saving
    assert saving is not None
    assert (saving.baseline_cost, saving.usd, saving.share) == (None, None, None)
    assert "price" in saving.unknown


def test_an_answer_that_was_fallen_back_from_is_not_delivered_twice() -> None:
    empty = a_row("c1", verdict="reject", verifier="NotEmpty")
    assert receipt(empty, a_row("c2")).saving == receipt(a_row("c2"), a_row("j", purpose="judge")).saving


def test_rows_alone_make_a_receipt_without_a_comparison() -> None:
    shown = Receipt.of([a_row("c1", "r1"), a_row("c2", "r2")])
    assert shown.saving is None
    assert shown.cost == Decimal("0.004")
    for form in everywhere(shown):
        assert "Receipt of 2 runs" in form
        assert "run r1" in form
        assert "run r2" in form
        assert "estimated saving" not in form


# Figures


def test_unknown_is_never_shown_as_zero() -> None:
    shown = receipt(a_row(cost=None, usage=None, latency=None), a_row("c2"))
    assert shown.cost is None
    for form in everywhere(shown):
        assert "unknown: 1 call without a known price; the others cost $0.002" in form
    assert "the others" not in str(receipt(a_row(cost=None)))


def test_a_local_zero_says_that_it_is_local() -> None:
    for form in everywhere(receipt(a_row(cost=Decimal(0), cost_source="local"))):
        assert "$0 local" in form


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        ("0", "$0"),
        ("0.0000000001", "<$0.000001"),
        ("-0.0000000001", "-<$0.000001"),
        ("0.000001", "$0.000001"),
        ("0.00999", "$0.00999"),
        ("0.01", "$0.01"),
        ("0.5", "$0.50"),
        ("12.34567", "$12.3457"),
        ("-1234.5", "-$1,234.50"),
    ],
)
def test_money_is_shown_as_far_as_it_matters(usd: str, shown: str) -> None:
    assert cells.money(Decimal(usd)) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "unknown"), (0.0004, "0 ms"), (0.25, "250 ms"), (1.25, "1.2 s"), (125.0, "2 min 5 s")]
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert cells.seconds(seconds) == shown


def test_estimates_cached_and_reasoning_tokens_are_told_apart() -> None:
    usage = Usage(1000, 200, cached_tokens=800, reasoning_tokens=50, estimated=True)
    for form in everywhere(receipt(a_row(usage=usage))):
        assert "~1,000 in" in form.replace("&nbsp;", " ")
        assert "our estimate" in form
    assert cells.tokens(a_row(usage=usage)) == "~1,000 in (800 cached), ~200 out (50 reasoning)"


def test_the_model_that_answered_is_named_where_it_differs() -> None:
    assert cells.model(a_row(answered_by="small")) == "a:small"
    assert cells.model(a_row(answered_by="small-2026-01-01")) == "a:small (answered by small-2026-01-01)"


def test_a_verdict_shows_its_evidence_and_a_threshold_without_calibration_is_named() -> None:
    judged = a_row(verdict="reject", verifier="Judge", evidence="off the point", score=0.4, threshold=0.7)
    assert cells.verdict(judged) == "reject: Judge: off the point (score 0.4; threshold 0.7)"
    for form in everywhere(
        receipt(a_row(verdict="accept", verifier="Judge", score=0.8, threshold=0.7, calibrated=False))
    ):
        assert "not calibrated" in form


def test_what_went_wrong_is_shown() -> None:
    refused = a_row(state="refused", error_type="LimitError", error="the budget is spent", cost=Decimal(0))
    failed = a_row(error_type="RateLimitError", error="slow down")
    doubtful = a_row("c9", state="unknown", cost=None, usage=None, latency=None)
    for form in everywhere(receipt(refused, failed, doubtful)):
        text = re.sub(r"</?strong>", "", form)
        assert "refused: LimitError: the budget is spent" in text
        assert "failed: RateLimitError: slow down" in text
        assert "in doubt" in text


def test_an_empty_receipt_is_no_error() -> None:
    for form in everywhere(Receipt.of([])):
        assert "Receipt" in form


# Machines


def test_json_loses_nothing() -> None:
    tiny = Decimal("0.00000000000000000123")
    told = json.loads(receipt(a_row(cost=tiny), a_row("c2", cost=None)).to_json())
    assert told["rows"][0]["cost"] == "0.00000000000000000123"
    assert (told["cost"], told["unpriced"], told["saving"]["estimated"]) == (None, 1, True)
    assert told["saving"]["usd"] is None
    assert told["rows"][1]["input_tokens"] == 1000


def test_csv_has_one_line_for_each_call() -> None:
    table = list(csv.DictReader(io.StringIO(receipt(a_row(), a_row("c2", cost=None)).to_csv())))
    assert [(line["call_id"], line["cost"]) for line in table] == [("c1", "0.002"), ("c2", "")]


# Hostile text

hostile = st.text(max_size=40) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "\"'><img src=x onerror=alert(1)>",
        "=cmd|' /C calc'!A0",
        "+1+cmd",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\x1b[2J\x1b]0;title\x07 hi",
        "\x9b31m red",
        "\u202eabc\u2066",
        "[bold red]markup[/]",
        "\ud800",
        "-5",
        "line\nbreak",
    ]
)
hostile_rows = st.builds(
    a_row,
    call_id=hostile,
    run_id=hostile,
    tier=hostile,
    model=hostile,
    answered_by=st.none() | hostile,
    reason=hostile,
    job=hostile,
    verdict=st.sampled_from(["accept", "reject", "abstain", None]),
    verifier=hostile,
    evidence=hostile,
    calibrated=st.sampled_from([None, False]),
    error_type=st.none() | hostile,
    error=st.none() | hostile,
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


OURS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "p", "dl", "div", "dt", "dd", "ul", "li"} | {
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "strong",
}
OUR_ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "role", "scope", "colspan", "data-label"}


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(hostile_rows, max_size=4))
def test_hostile_text_stays_text_on_the_page(rows: list[Row]) -> None:
    page = receipt(*rows).to_html()
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    assert tags.seen <= OURS
    assert tags.attributes <= OUR_ATTRIBUTES
    assert page.encode()


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(hostile_rows, max_size=4))
def test_hostile_text_stays_text_in_a_terminal(rows: list[Row]) -> None:
    shown = receipt(*rows)
    coloured = re.sub(r"\x1b\[[0-9;]*m", "", in_terminal(shown))
    for text in (str(shown), coloured, re.sub(r"\x1b\[[0-9;]*m", "", in_terminal(shown, 80))):
        assert not [c for c in text.replace("\n", "") if unicodedata.category(c) in ("Cc", "Cf", "Cs")]
    assert len(str(shown).splitlines()) <= 20 + 4 * len(rows)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(hostile_rows, min_size=1, max_size=4))
def test_no_cell_of_the_csv_is_a_formula(rows: list[Row]) -> None:
    table = list(csv.reader(io.StringIO(receipt(*rows).to_csv(), newline="")))
    assert len(table) == len(rows) + 1
    for cell in (cell for line in table for cell in line):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", cell)


def test_rich_markup_in_evidence_is_text() -> None:
    shown = in_terminal(receipt(a_row(verdict="accept", verifier="V", evidence="[bold red]odd[/]")))
    assert "[bold red]odd[/]" in words(shown)


# What it needs


def test_the_page_loads_nothing_and_follows_the_reader() -> None:
    page = receipt(a_row()).to_html()
    assert "<script" not in page
    assert not re.search(r"https?://|url\(|@import|<link|src=", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert page.count('scope="col"') == 9


def test_without_rich_print_works_and_the_table_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_rich(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "rich":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_rich)
    shown = receipt(a_row())
    assert "a:small" in str(shown)
    with pytest.raises(MissingExtraError, match=r'pip install "tierwise\[cli\]"'):
        shown.__rich__()


def test_it_is_taken_apart_by_agent_and_the_parts_add_up() -> None:
    whole = receipt(
        a_row("c1", role="writer"), a_row("c2", role="analyst", cost=None), a_row("c3"), a_row("c4", role="writer")
    )
    parts = whole.by("role")
    assert {name: [row.call_id for row in part.rows] for name, part in parts.items()} == {
        "writer": ["c1", "c4"],
        "analyst": ["c2"],
        "": ["c3"],
    }
    assert parts["writer"].cost == Decimal("0.004")
    assert parts["analyst"].cost is None
    assert sum(part.known_cost for part in parts.values()) == whole.known_cost
