"""A receipt as text in lines and columns, before it takes any form. All of its text is clean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from tierwise.ledger.receipt import Receipt, Saving
from tierwise.ledger.render import cells
from tierwise.ledger.rows import Row

__all__ = ["HEADINGS", "Line", "Run", "Sheet"]

HEADINGS = ("#", "purpose", "tier", "model", "tokens", "cost", "latency", "verdict", "why")

Tone: TypeAlias = Literal["accept", "reject", "abstain", "error", ""]


@dataclass(frozen=True, slots=True)
class Line:
    """One call."""

    cells: tuple[str, ...]
    """One text for each heading."""
    tone: Tone

    @classmethod
    def of(cls, number: int, row: Row) -> Line:
        """The line of a row."""
        tone: Tone = "error" if row.error_type is not None or row.state == "unknown" else row.verdict or ""
        return cls(
            (
                str(number),
                row.purpose,
                cells.clean(row.tier),
                cells.model(row),
                cells.tokens(row),
                cells.cost(row),
                cells.latency(row),
                cells.verdict(row),
                cells.clean(row.reason),
            ),
            tone,
        )


@dataclass(frozen=True, slots=True)
class Run:
    """The calls of one run."""

    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that a receipt says."""

    title: str
    runs: tuple[Run, ...]
    totals: tuple[tuple[str, str], ...]
    """Labels and figures."""
    notes: tuple[str, ...]
    """What has to be known to read the figures right."""

    @classmethod
    def of(cls, receipt: Receipt) -> Sheet:
        """What the receipt says."""
        grouped: dict[str, list[Line]] = {}
        headings: dict[str, str] = {}
        for number, row in enumerate(receipt.rows, 1):
            headings.setdefault(row.run_id, _heading(row))
            grouped.setdefault(row.run_id, []).append(Line.of(number, row))
        runs = tuple(Run(headings[run], tuple(lines)) for run, lines in grouped.items())
        title = "Receipt" if len(runs) < 2 else f"Receipt of {len(runs)} runs"
        return cls(title, runs, tuple(_totals(receipt)), tuple(_notes(receipt)))


def _heading(row: Row) -> str:
    began = datetime.fromtimestamp(row.started_at, UTC).strftime("%Y-%m-%d %H:%M UTC") if row.started_at else ""
    labels = [began, f"job {row.job}" if row.job else "", f"run {row.run_id}"]
    return cells.clean(" · ".join(filter(None, labels)))


def _totals(receipt: Receipt) -> list[tuple[str, str]]:
    refused = sum(row.state == "refused" for row in receipt.rows)
    made = len(receipt.rows) - refused
    known = cells.money(receipt.known_cost)
    unpriced = receipt.unpriced
    others = f"; the others cost {known}" if unpriced < made else ""
    cost = f"unknown: {_calls(unpriced)} without a known price{others}"
    totals = [
        ("calls", f"{made}" + (f" (and {refused} refused)" if refused else "")),
        ("cost", cost if unpriced else known),
        ("time in calls", cells.seconds(receipt.latency)),
    ]
    saving = receipt.saving
    if saving is not None:
        totals.append(("estimated saving", _saving(saving)))
    return totals


def _saving(saving: Saving) -> str:
    against = f"against {cells.clean(saving.baseline)}"
    if saving.usd is None:
        return f"unknown {against}: {saving.unknown}" if saving.unknown else f"unknown {against}"
    share = f" ({saving.share:.0%})" if saving.share is not None else ""
    dearer = " (this cost more)" if saving.usd < 0 else ""
    return f"{cells.money(saving.usd)}{share} {against}{dearer}"


def _notes(receipt: Receipt) -> list[str]:
    rows = receipt.rows
    notes: list[str] = []
    if any(row.usage is not None and row.usage.estimated for row in rows):
        notes.append("~ marks token counts that are our estimate, and not the provider's count.")
    uncalibrated = sorted({row.verifier for row in rows if row.calibrated is False})
    if uncalibrated:
        names = ", ".join(map(cells.clean, uncalibrated))
        notes.append(f"Thresholds that no labelled data stands behind (not calibrated): {names}.")
    doubtful = sum(row.state == "unknown" for row in rows)
    if doubtful:
        notes.append(f"{_calls(doubtful)} in doubt: the process died, and the provider may have answered and billed.")
    if receipt.saving is not None:
        notes.append(
            "The saving is estimated and net: it sets every call above against one call of "
            f"{cells.clean(receipt.saving.baseline)} for each delivered answer, with that answer's token counts."
        )
    return notes


def _calls(count: int) -> str:
    return f"{count} call" + ("" if count == 1 else "s")
