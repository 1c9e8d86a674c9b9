"""What is left of the storm: what was counted, what must hold of it, and the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tierwise.ledger.rows import Row

__all__ = ["Check", "Counts", "Watched", "checks", "table"]


_BROKEN_OFF = ("CancelledError", "DeadlineError", "CallTimeoutError")


@dataclass
class Watched:
    """A budget, read over and over while calls raced for it."""

    name: str
    cap: Decimal
    highest: Decimal = Decimal(0)
    """The most that was ever spent and reserved together."""
    spent: Decimal = Decimal(0)
    """At the end."""
    readings: int = 0


@dataclass
class Counts:
    """What was counted."""

    seed: int
    asked: int
    """How many questions there are."""
    said: Sequence[Mapping[str, Any]] = ()
    """How each question ended, as its caller said."""
    rows: Sequence[Row] = ()
    """The ledger."""
    reached: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """The calls that the provider counted, by question and model."""
    faults: Counter[str] = field(default_factory=Counter[str])
    """What the provider did with them."""
    billed: Decimal = Decimal(0)
    """What the provider billed, in USD."""
    budgets: Sequence[Watched] = ()
    reserved: Decimal = Decimal(0)
    """What is still reserved of the budgets when all leases have ended."""
    places: int = 0
    """How many places of models are still taken then."""
    leases: float = 0.0
    """Seconds until nothing was reserved any more."""
    peaks: Mapping[str, int] = field(default_factory=dict[str, int])
    """The most calls that the provider had at once, by model."""
    waits: int = 0
    """How often a call waited for its turn."""
    seconds: float = 0.0

    @property
    def made(self) -> Counter[tuple[str, str]]:
        """The rows of calls that were to be made, by question and model."""
        return Counter(_key(row) for row in self.rows if row.state != "refused")

    @property
    def broken_off(self) -> Counter[tuple[str, str]]:
        """Those that their process, their caller or their deadline may have ended before they left."""
        return Counter(_key(row) for row in self.rows if row.state == "unknown" or row.error_type in _BROKEN_OFF)

    @property
    def states(self) -> Counter[str]:
        return Counter(row.state for row in self.rows)

    @property
    def cost(self) -> Decimal:
        """What the ledger says that all calls cost, in USD, as far as it is known."""
        return sum((row.cost or Decimal(0) for row in self.rows), Decimal(0))


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must hold."""

    what: str
    holds: bool
    figures: str


def checks(counts: Counts) -> Iterator[Check]:
    """What must hold, whatever the weather was."""
    ended = Counter(said["number"] for said in counts.said)
    yield Check(
        "every question has one end",
        len(ended) == counts.asked == ended.total(),
        f"{len(ended):,} of {counts.asked:,} questions, {ended.total():,} ends",
    )
    problems = [said["problem"] for said in counts.said if said["problem"]]
    yield Check(
        "which is a whole answer or a typed error", not problems, f"{len(problems):,} others {' '.join(problems[:3])}"
    )
    made, reached = counts.made, counts.reached
    unwritten = reached - made
    yield Check("each call that the provider counted has its row", not unwritten, f"{unwritten.total():,} have none")
    open_rows = counts.states["intent"]
    yield Check("no row is left open", open_rows == 0, f"{open_rows:,} intents")
    unsent = made - reached
    yield Check(
        "a row without such a call is of one that never left",
        not unsent - counts.broken_off,
        f"{unsent.total():,} rows",
    )
    for budget in counts.budgets:
        yield Check(
            f"budget {budget.name!r} is never exceeded",
            max(budget.highest, budget.spent) <= budget.cap,
            f"highest {budget.highest:.6f} of {budget.cap:.6f} USD, {budget.readings:,} readings",
        )
    yield Check(
        "nothing is reserved when the leases have ended",
        counts.reserved == 0 and counts.places == 0,
        f"{counts.reserved:.6f} USD, {counts.places:,} places; {counts.leases:.0f} s later",
    )


def table(counts: Counts) -> Iterator[str]:
    """What happened, line by line."""
    yield f"seed {counts.seed}, {counts.seconds:.0f} s\n"
    yield from _section("questions", Counter(said["ended"] for said in counts.said))
    yield from _section("requests that the provider counted", counts.faults)
    yield from _section("ledger rows", counts.states)
    yield from _section("refused by", Counter(row.error_type or "" for row in counts.rows if row.state == "refused"))
    retries = sum(row.reason.startswith("retry") for row in counts.rows)
    yield "what else the limits did\n"
    yield f"  {retries:>8,}  calls were made again\n"
    yield f"  {counts.waits:>8,}  times a call waited for its turn\n"
    for model, peak in counts.peaks.items():
        yield f"  {peak:>8,}  calls at once at most reached {model}\n"
    yield "USD\n"
    yield f"  {counts.billed:.6f}  billed by the provider (in full, whatever arrived of it)\n"
    yield f"  {counts.cost:.6f}  on the ledger, where a cost is known\n"
    for budget in counts.budgets:
        yield f"  {budget.spent:.6f}  spent of budget {budget.name!r} ({budget.cap:.6f})\n"
    yield "what must hold\n"
    for check in checks(counts):
        yield f"  {'holds' if check.holds else 'BROKEN':>8}  {check.what} ({check.figures.strip()})\n"


def _section(title: str, counted: Counter[str]) -> Iterator[str]:
    yield f"{title}: {counted.total():,}\n"
    for name, number in counted.most_common():
        yield f"  {number:>8,}  {name}\n"


def _key(row: Row) -> tuple[str, str]:
    return row.node or "", row.model.partition(":")[2]
