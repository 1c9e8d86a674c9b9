"""What happened: one row for each call that was made or refused."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from tierwise.attempt import Purpose
from tierwise.fleet.price import Usage
from tierwise.values import evolve, quick

__all__ = ["CallState", "Row"]

CallState: TypeAlias = Literal["intent", "settled", "refused", "unknown"]
"""`intent`: about to be sent. `settled`: came to an end. `refused`: never sent, it cost nothing. `unknown`: the process
died between the two; the provider may have answered and billed."""


@quick
@dataclass(frozen=True, slots=True)
class Row:
    """One call."""

    call_id: str
    run_id: str
    _: KW_ONLY
    state: CallState = "intent"
    started_at: float = 0.0
    """Seconds since 1970."""
    session: str | None = None
    job: str | None = None
    node: str | None = None
    role: str | None = None
    decision_tier: str = ""
    decision_rule: str = ""
    tier: str = ""
    purpose: Purpose = "answer"
    model: str = ""
    """The model that was asked: `provider:name`."""
    answered_by: str | None = None
    """The model that answered, as the provider names it."""
    reason: str = ""
    usage: Usage | None = None
    cost: Decimal | None = None
    """USD; `None` is unknown, never zero."""
    cost_source: str = "unknown"
    latency: float | None = None
    """Seconds."""
    first_token: float | None = None
    """Seconds to the first visible chunk; streamed calls only."""
    finish_reason: str | None = None
    repaired: bool = False
    typed: bool = False
    """The task asked for a typed output."""
    tools: int = 0
    """How many tools were offered."""
    tool_calls: int | None = None
    """How many tool calls the answer holds; `None` where there is no answer."""
    verdict: Literal["accept", "reject", "abstain"] | None = None
    verifier: str = ""
    evidence: str = ""
    score: float | None = None
    threshold: float | None = None
    calibrated: bool | None = None
    conclusive: bool = False
    quotes: bool = True
    """Whether `evidence` may repeat words of the request or of a model; see `Verdict`."""
    error_type: str | None = None
    error: str | None = None

    @property
    def plain(self) -> Row:
        """The same row without what may repeat words of a request or an answer: no error text, no quoting evidence."""
        if self.error is None and not (self.quotes and self.evidence):
            return self
        return evolve(self, error=None, evidence="" if self.quotes else self.evidence)
