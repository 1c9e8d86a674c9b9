"""What an audit found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from tierwise.audit.kinds import Share

if TYPE_CHECKING:
    from tierwise.audit.render import TerminalReport

__all__ = ["AuditReport", "Projection", "Slice"]


@dataclass(frozen=True, slots=True)
class Slice:
    """The calls of one share, or of a share in one tier, model or job."""

    share: Share
    key: str
    """The tier, the model, the job or the evidence; empty where calls name none."""
    _: KW_ONLY
    calls: int
    input_tokens: int
    output_tokens: int
    estimated: int
    """Calls with token counts that are estimates, or that are not known."""
    cost: Decimal
    """USD of the calls whose price is known."""
    unpriced: int
    """Calls whose price is not known."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What the structured calls would have cost on a named small model: an estimate, with what it assumes."""

    model: str
    """The small model."""
    calls: int
    """The structured answers of runs in which the small model was not tried, and whose tokens and price are known."""
    left_out: int
    """Those whose tokens or price are not known."""
    cost: Decimal
    """USD that these calls did cost."""
    small_cost: Decimal | None
    """Estimated USD of the same tokens on the small model; `None` if its price is not known."""
    tried: int
    """Structured calls of the small model itself, from which the escalation rate comes."""
    escalation_rate: float | None
    """The share of those whose answer was not the one delivered; `None` if there are none."""
    assumptions: tuple[str, ...]

    @property
    def most(self) -> Decimal | None:
        """Estimated USD saved if no call escalated: more than this cannot be saved."""
        return None if self.small_cost is None else self.cost - self.small_cost

    @property
    def saving(self) -> Decimal | None:
        """Estimated USD saved at the observed escalation rate, possibly negative; `None` if that is not known."""
        if self.small_cost is None or self.escalation_rate is None:
            return None
        return self.cost * (1 - Decimal(str(self.escalation_rate))) - self.small_cost

    @property
    def break_even(self) -> float | None:
        """The share of the calls that may escalate before nothing is saved; `None` if that is not known."""
        if self.small_cost is None or not self.cost:
            return None
        return max(0.0, float(1 - self.small_cost / self.cost))


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Which calls follow a form, which need reasoning, what they cost, and what routing could save.

    `print(report)` gives plain text, `rich.print(report)` tables.
    """

    since: float | None
    """When the first call began, in seconds since 1970; `None` if there are no calls."""
    until: float | None
    """When the last call began."""
    _: KW_ONLY
    calls: int
    """The calls that are looked at: those that were made and answered, or are in doubt."""
    refused: int
    """Calls that a limit refused; they are left out."""
    failed: int
    """Calls that failed; they are left out."""
    shares: tuple[Slice, ...]
    """The calls of each share."""
    evidence: tuple[Slice, ...]
    """The calls of each share, by the evidence that put them there."""
    by: Mapping[str, tuple[Slice, ...]]
    """The calls of each share by `tier`, `model` and `job`."""
    projection: Projection | None = None
    """What routing could save; `None` if no small model was named, or if there are no structured calls."""

    def to_json(self, *, indent: int | None = 2) -> str:
        """The report as JSON. USD are decimal texts; `null` is unknown."""
        from tierwise.audit.render import as_json

        return as_json(self, indent)

    def __str__(self) -> str:
        from tierwise.audit.render import plain

        return plain(self)

    def __rich__(self) -> TerminalReport:
        """What rich prints.

        Raises:
            MissingExtraError: rich is not installed.
        """
        from tierwise.audit.render import TerminalReport

        return TerminalReport(self)
