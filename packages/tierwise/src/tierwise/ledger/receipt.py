"""What did it cost? A `Receipt` lists every call of one run, or of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from tierwise.attempt import Purpose
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.pricing import Pricing
from tierwise.ledger.rows import Row

if TYPE_CHECKING:
    from tierwise.ledger.render.terminal import TerminalReceipt

__all__ = ["Receipt", "Saving"]

_DELIVERED: frozenset[Purpose] = frozenset({"answer", "synthesis"})


@dataclass(frozen=True, slots=True)
class Saving:
    """What was saved against a named baseline: estimated, net of every draft and judge, and possibly negative.

    The baseline is taken to need one call for each delivered answer, with that answer's token counts.
    """

    baseline: str
    """The model that savings are measured against."""
    baseline_cost: Decimal | None
    """Estimated USD if that model had given the answers; `None` if its price is not known."""
    usd: Decimal | None
    """`baseline_cost` less what was spent; `None` if either is not known."""
    unknown: str = ""
    """Why `usd` is not known."""

    @property
    def share(self) -> float | None:
        """The saving as a share of the baseline's cost; `None` if that is unknown or zero."""
        if self.usd is None or not self.baseline_cost:
            return None
        return float(self.usd / self.baseline_cost)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Every call of a run, or of several, what it cost, and what that compares with.

    `print(receipt)` gives plain text, `rich.print(receipt)` a table.
    """

    rows: tuple[Row, ...]
    _: KW_ONLY
    baseline: ModelSpec | None = None
    """The model that savings are measured against."""
    pricing: Pricing | None = field(default=None, repr=False, compare=False)
    """What prices the baseline."""

    @classmethod
    def of(cls, rows: Iterable[Row], *, pricing: Pricing | None = None, baseline: ModelSpec | None = None) -> Receipt:
        """Adds up rows, of one run or of several, and compares them with a baseline model.

        Args:
            rows: One row for each call; those of a ledger will do.
            pricing: Prices the baseline. Without it, or without a baseline, there is no comparison.
            baseline: The model that savings are measured against.
        """
        return cls(tuple(rows), baseline=baseline, pricing=pricing)

    @property
    def saving(self) -> Saving | None:
        """What was saved against the baseline; `None` where there is nothing to compare with."""
        # Worked out where it is asked for: every run has a receipt, and few are looked at.
        if self.pricing is None or self.baseline is None:
            return None
        return _saving(self.rows, self.pricing, self.baseline)

    @property
    def cost(self) -> Decimal | None:
        """USD of all calls; `None` if the price of any is not known."""
        return total_cost(self.rows)

    @property
    def known_cost(self) -> Decimal:
        """USD of the calls whose price is known."""
        return sum((r.cost for r in self.rows if r.cost is not None), Decimal(0))

    @property
    def unpriced(self) -> int:
        """How many calls have no known price."""
        return sum(r.cost is None for r in self.rows)

    @property
    def latency(self) -> float:
        """Seconds that the calls took together, as if one after the other."""
        return sum(r.latency or 0.0 for r in self.rows)

    def by(self, name: Literal["job", "model", "node", "role", "session", "tier"]) -> dict[str, Receipt]:
        """The same calls taken apart, in the order of their first: one for each agent (`role`), step (`node`) or tier.

        A call that does not say is under the empty text. The parts add up to the whole; a saving is the whole's alone.

        Args:
            name: The field of a row by which they are told apart.
        """
        parts: dict[str, list[Row]] = {}
        for row in self.rows:
            parts.setdefault(getattr(row, name) or "", []).append(row)
        return {value: Receipt(tuple(rows)) for value, rows in parts.items()}

    def to_json(self, *, indent: int | None = 2) -> str:
        """The receipt as JSON: totals, saving and rows. USD are decimal texts; `null` is unknown."""
        from tierwise.ledger.render.machine import as_json

        return as_json(self, indent)

    def to_csv(self) -> str:
        """The rows as CSV with a header line. Text that a spreadsheet would run as a formula is neutralised."""
        from tierwise.ledger.render.records import csv_lines

        return "".join(csv_lines(self.rows))

    def to_html(self) -> str:
        """The receipt as one HTML page that loads nothing and runs no script, for phones and for paper too."""
        from tierwise.ledger.render.page import page
        from tierwise.ledger.render.sheet import Sheet

        return page(Sheet.of(self))

    def __str__(self) -> str:
        from tierwise.ledger.render.plain import plain
        from tierwise.ledger.render.sheet import Sheet

        return plain(Sheet.of(self))

    def __rich__(self) -> TerminalReceipt:
        """What rich prints.

        Raises:
            MissingExtraError: rich is not installed.
        """
        from tierwise.ledger.render.sheet import Sheet
        from tierwise.ledger.render.terminal import TerminalReceipt

        return TerminalReceipt(Sheet.of(self))


def total_cost(rows: Sequence[Row]) -> Decimal | None:
    """USD of all rows; `None` if the price of any is not known."""
    costs = [r.cost for r in rows]
    known = [c for c in costs if c is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None


def _saving(rows: tuple[Row, ...], pricing: Pricing, baseline: ModelSpec) -> Saving:
    usages = [row.usage for row in _delivered(rows)]
    compared = pricing.total(baseline, usages).usd if usages else None
    spent = total_cost(rows)
    if compared is not None and spent is not None:
        return Saving(baseline.key, compared, compared - spent)
    if not usages:
        why = "no answer was delivered"
    elif compared is None:
        why = "its price, or the token counts of an answer, are not known"
    else:
        why = "not every call has a known price"
    return Saving(baseline.key, compared, None, why)


def _delivered(rows: Iterable[Row]) -> Iterable[Row]:
    """The call of each run whose answer the user got: the last answer, as the others were fallen back from."""
    answers = {
        row.run_id: row
        for row in rows
        if row.purpose in _DELIVERED
        and row.state == "settled"
        and row.error_type is None
        and row.finish_reason != "aborted"
    }
    return answers.values()
