"""Try cheap first, and go up a tier when the evidence is weak."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from tierwise.context import Context
from tierwise.errors import AllModelsFailedError
from tierwise.fleet.fleet import Tier
from tierwise.flow import Flow, Gate, Judged, Outcome, Show, Verdict, note
from tierwise.strategies.base import Strategy, first_answer
from tierwise.task import Task
from tierwise.verifiers.base import VerifierLike, as_verifier
from tierwise.verifiers.default import default_verifier

__all__ = ["Cascade", "Single"]


class Single(Strategy):
    """The starting tier answers, shown live. Fallbacks: the rest of that tier, then the tiers above it.

    A typed output is held until it is checked.
    """

    def __init__(self, verifier: VerifierLike | None = None) -> None:
        self.verifier = as_verifier(verifier) if verifier is not None else None

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        failed: list[Outcome] = []
        show = Show.LIVE if task.output_schema is None else Show.HOLD
        for tier in context.climb():
            try:
                return (yield from first_answer(task, tier, show=show, reason=_reason(context, failed)))
            except AllModelsFailedError as error:
                failed.extend(error.outcomes)
        raise AllModelsFailedError(failed)


class Cascade(Strategy):
    """Climbs from the starting tier until an answer is accepted.

    The tiers below the top are held and judged; the top answers live, unless a typed output has to be checked first.
    An answer on which all verifiers abstain is unverified, and goes up by default. If every higher tier fails, the
    best unverified answer is returned, as unverified; a rejected one never is.

    Args:
        verifier: What judges a draft; by default its shape, and for prose a judge on the next higher tier.
        on_unverified: What to do when all verifiers abstain.
        gate: A pure function of a streamed draft's prefix that may commit to it, or abort it, before its end.
        each: What happens at each tier below the top; one call by default. A vote, for example.
    """

    def __init__(
        self,
        verifier: VerifierLike | None = None,
        *,
        on_unverified: Literal["escalate", "accept"] = "escalate",
        gate: Gate | None = None,
        each: Strategy | None = None,
    ) -> None:
        self.verifier = as_verifier(verifier) if verifier is not None else default_verifier()
        self._accept_unverified = on_unverified == "accept"
        self._gate = gate
        self._each = each

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        failed: list[Outcome] = []
        unverified: Outcome | None = None
        reason = _reason(context, failed)
        tiers = context.climb()
        for tier in tiers:
            top = tier is tiers[-1]
            try:
                outcome = yield from self._try(task, context, tier, top, reason)
            except AllModelsFailedError as error:
                failed.extend(error.outcomes)
                reason = f"fallback: tier {tier.name} failed"
                continue
            if outcome.committed or (top and task.output_schema is None):
                return outcome
            if outcome.aborted:
                reason = f"escalation: the gate closed {tier.name}"
                continue
            outcome, verdict = yield from self._judge(task, outcome, context)
            if verdict.accepted or top or (self._accept_unverified and not verdict.rejected):
                return outcome
            if not verdict.rejected:
                unverified = outcome
            reason = f"escalation: {tier.name} {'rejected' if verdict.rejected else 'unverified'}: {verdict.plain}"
        if unverified is not None:
            return unverified
        raise AllModelsFailedError(failed)

    def _try(self, task: Task, context: Context, tier: Tier, top: bool, reason: str) -> Flow[Outcome]:
        if self._each is not None and not top:
            return (yield from self._each.flow(task, context.at(tier)))
        fields: dict[str, Any] = {"purpose": "draft", "show": Show.HOLD}
        if self._gate is not None and not top:
            fields = {"purpose": "draft", "show": Show.GATED, "gate": self._gate}
        if top:
            fields = {"purpose": "answer", "show": Show.LIVE if task.output_schema is None else Show.HOLD}
        fields["logprobs"] = self.verifier is not None and self.verifier.wants_logprobs
        return (yield from first_answer(task, tier, reason=reason, **fields))

    def _judge(self, task: Task, outcome: Outcome, context: Context) -> Flow[tuple[Outcome, Verdict]]:
        assert self.verifier is not None  # noqa: S101 - set in __init__
        verdict = yield from self.verifier.flow(task, outcome, context)
        yield from note(Judged(outcome, verdict))
        return replace(outcome, verdict=verdict), verdict

    def refs(self) -> Iterable[str]:
        """See `Strategy`."""
        return [*super().refs(), *(self._each.refs() if self._each else ())]


def _reason(context: Context, failed: list[Outcome]) -> str:
    if failed:
        return f"fallback: {failed[-1].attempt.tier} failed"
    return context.start.reason if context.start else ""
