"""A receipt as a picture: a bar for every call, in the colour of its tier. It needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from tierwise import Receipt
from tierwise.ledger.rows import Row

from tierwise_examples.ladders import TIERS

__all__ = ["receipt_chart"]

_COLOURS: Mapping[str, str] = dict(zip(TIERS, ("#8fbfe0", "#2e7cb8", "#14375a"), strict=True))
_OTHER = "#888888"


def receipt_chart(receipt: Receipt) -> Figure:
    """Draws every call, in the order of the calls: what it cost, or its tokens where nothing was to be paid.

    What was rejected, or failed, is hatched and says so: the bar below it is what came of that.

    Args:
        receipt: Of one run, or of several.
    """
    rows = [row for row in receipt.rows if row.tier]
    paid = receipt.known_cost > 0
    # What matplotlib's methods take beside their arguments is not known to type checkers.
    figure: Any = Figure(figsize=(7, 1.2 + 0.35 * len(rows)), dpi=72, layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(
        range(len(rows)),
        [float(row.cost or 0) if paid else _tokens(row) for row in rows],
        color=[_COLOURS.get(row.tier, _OTHER) for row in rows],
        hatch=["///" if _fate(row) else "" for row in rows],
        edgecolor="white",
    )
    axes.bar_label(bars, [_amount(row, paid) + _fate(row) for row in rows], padding=3)
    axes.set_yticks(range(len(rows)), [f"{row.job or row.purpose}: {row.answered_by or row.model}" for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set_xlabel("USD" if paid else "tokens")
    axes.spines[["top", "right"]].set_visible(False)
    used = {row.tier for row in rows}
    marks = [Patch(color=colour, label=tier) for tier, colour in _COLOURS.items() if tier in used]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
    return figure


def _tokens(row: Row) -> int:
    return (row.usage.input_tokens or 0) + (row.usage.output_tokens or 0) if row.usage else 0


def _amount(row: Row, paid: bool) -> str:
    return f"${row.cost:.6f}" if paid and row.cost is not None else f"{_tokens(row)} tokens"


def _fate(row: Row) -> str:
    """Why the answer was not used; empty if it was."""
    if row.error_type is not None:
        return ", failed"
    return ", rejected" if row.verdict == "reject" else ""
