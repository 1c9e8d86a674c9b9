"""What a model, a provider or a user writes into a receipt does nothing to whoever reads it."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Cascade, Verdict
from tierwise.attempt import Outcome
from tierwise.ledger import Receipt, Row
from tierwise.testing.provider import Reply

from .scene import Scene, forms

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "\t=1+1",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    "\x9b31mred\x9b0m",
    "\r\noverwritten\x08\x08",
    "\u202egnp.exe",
    "\ud800 half",
    "nul \x00 byte",
    "[bold red]markup[/]",
    "$& %s {0} {row}",
]
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}


def check_harmless(receipt: Receipt) -> None:
    """No form of the receipt holds anything that a terminal, a browser or a spreadsheet would obey."""
    plain, _, as_json, as_csv, html, terminal = forms(receipt)
    json.loads(as_json, parse_constant=_no_constant)
    page = Elements()
    page.feed(html)
    assert page.seen.isdisjoint({"script", "img", "iframe", "a", "svg", "form"})
    assert not any(name.startswith("on") for name in page.attributes)
    for line in csv.reader(io.StringIO(as_csv)):
        for cell in line:
            assert not cell.startswith(_RUN_BY_SPREADSHEETS) or re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", cell, re.I)
    styled = re.sub(r"\x1b\[[\d;]*m", "", terminal)  # rich's own colours
    for text in (plain, html, styled):
        text.encode("utf-8")
        assert [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"] == []
    check_inert(as_csv)


def check_inert(text: str) -> None:
    """Nothing in it moves a cursor or turns text around; tabs and line breaks are part of a text."""
    text.encode("utf-8")
    assert [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t"] == []
    assert not _TURNING.intersection(text)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_fault_43_what_is_said_by_models_and_verifiers_is_neutral_in_every_form(scene: Scene, text: str) -> None:
    def quoting(outcome: Outcome) -> Verdict:
        return Verdict("reject", f"{text} {outcome.text}", verifier=text)

    scene.provider.on("small", Reply(text=text, model=text))
    scene.provider.on("large", Reply(status=400, error=text))
    got = scene.ask(scene.router(strategy=Cascade(quoting)), job=text, session=text, node=text, role=text)
    check_harmless(Receipt.of(got.rows))
    check_harmless(Receipt.of(scene.ledger.rows()))
    check_inert("".join(scene.ledger.export("csv")))


def test_fault_43_a_table_in_a_terminal_takes_no_markup_from_anyone() -> None:
    row = Row("c", "r", state="settled", model="a:b", reason="[bold red]markup[/]", job="[link=file:///]x[/link]")
    *_, terminal = forms(Receipt.of([row]))
    assert "markup[/]" in terminal
    assert "\x1b]8" not in terminal


text = st.text(st.characters(exclude_categories=()), max_size=40)


@given(
    st.builds(
        Row,
        text,
        text,
        model=text,
        answered_by=text,
        reason=text,
        job=text,
        evidence=text,
        error=text,
        error_type=text,
        verifier=text,
        tier=text,
        session=text,
        node=text,
        role=text,
        finish_reason=text,
        verdict=st.sampled_from(["accept", "reject", "abstain"]),
    )
)
def test_fault_43_no_text_at_all_is_obeyed(row: Row) -> None:
    check_harmless(Receipt.of([row]))


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_fault_43_figures_that_are_none_leave_valid_json(score: float) -> None:
    row = Row("c", "r", state="settled", verdict="reject", score=score, threshold=score)
    json.loads(Receipt.of([row]).to_json(), parse_constant=_no_constant)
