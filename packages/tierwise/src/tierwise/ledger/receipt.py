"""What did it cost? A `Receipt` lists every call of one run, or of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal

from tierwise.fleet.model import ModelSpec
from tierwise.fleet.pricing import Pricing
from tierwise.flow import Purpose
from tierwise.ledger.rows import Row

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

    @property
    def share(self) -> float | None:
        """The saving as a share of the baseline's cost; `None` if that is unknown or zero."""
        if self.usd is None or not self.baseline_cost:
            return None
        return float(self.usd / self.baseline_cost)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Every call of a run, what it cost, and what that compares with."""

    rows: tuple[Row, ...]
    _: KW_ONLY
    saving: Saving | None = None

    @classmethod
    def of(cls, rows: Iterable[Row], *, pricing: Pricing, baseline: ModelSpec) -> Receipt:
        """Adds up the rows and compares them with a baseline model."""
        listed = tuple(rows)
        delivered = [
            r.usage for r in listed if r.purpose in _DELIVERED and r.error_type is None and r.usage is not None
        ]
        compared = pricing.total(baseline, delivered).usd if delivered else None
        spent = total_cost(listed)
        usd = compared - spent if compared is not None and spent is not None else None
        return cls(listed, saving=Saving(baseline.key, compared, usd))

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


def total_cost(rows: Sequence[Row]) -> Decimal | None:
    """USD of all rows; `None` if the price of any is not known."""
    costs = [r.cost for r in rows]
    known = [c for c in costs if c is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None
