"""Try cheap first, and go up a tier when the evidence is weak."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from tierwise.attempt import Gate, Outcome, Show
from tierwise.context import Context
from tierwise.errors import AllModelsFailedError
from tierwise.fleet.fleet import Tier
from tierwise.flow import Flow, held, note
from tierwise.gates import wants_logprobs
from tierwise.strategies.base import Strategy, answer_of, closed, first_answer, first_of, judged, moved, shown
from tierwise.task import Task
from tierwise.verifiers.base import VerifierLike, as_verifier
from tierwise.verifiers.default import default_verifier

__all__ = ["Cascade", "Single"]


class Single(Strategy):
    """The starting tier answers, shown live. Fallbacks: the rest of that tier, then the tiers above it.

    A typed output is held until it is checked. Where the decision has a gate, the starting tier acts under it, and the
    tier that goes on answers.

    Args:
        verifier: What is said of the answer, for the record: as much of it as costs nothing.
    """

    def __init__(self, verifier: VerifierLike | None = None) -> None:
        self.verifier = as_verifier(verifier) if verifier is not None else None

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        reason, tiers = _reason(context), context.climb(gated=True)
        failed: list[Outcome] = []
        if context.gate is not None:
            acting, *tiers = tiers
            fields: dict[str, Any] = {"purpose": "draft", "show": Show.GATED, "gate": context.gate}
            try:
                outcome = yield from first_answer(task, acting, reason=reason, **fields)
            except AllModelsFailedError as error:
                failed.extend(error.outcomes)
                reason = f"fallback: {acting.name} failed"
            else:
                if not closed(context.gate, outcome):
                    return outcome
                failed.append(outcome)
                reason = f"escalation: the gate closed {acting.name}"
        try:
            return (yield from first_of(task, tiers, show=shown(task), reason=reason))
        except AllModelsFailedError as error:
            raise AllModelsFailedError([*failed, *error.outcomes]) from error


class Cascade(Strategy):
    """Climbs from the starting tier until an answer is accepted.

    The tiers below the top are held and judged; the top answers live, unless a typed output has to be checked first.
    An answer on which all verifiers abstain is unverified, and goes up by default. If every higher tier fails, the
    best unverified answer is returned, as unverified; a rejected one never is.

    Args:
        verifier: What judges a draft; by default its shape, and for prose a judge on the next higher tier.
        on_unverified: What to do when all verifiers abstain.
        gate: A pure function of a streamed draft's prefix that may commit to it, or abort it, before its end. At the
            starting tier, a gate of the decision takes its place.
        each: What happens at each tier below the top; one call by default. A vote, for example. A starting tier that
            the decision puts under a gate makes one call.
    """

    def __init__(
        self,
        verifier: VerifierLike | None = None,
        *,
        on_unverified: Literal["escalate", "accept"] = "escalate",
        gate: Gate | None = None,
        each: Strategy | None = None,
    ) -> None:
        self.verifier = self._verifier = as_verifier(verifier) if verifier is not None else default_verifier()
        self._accept_unverified = on_unverified == "accept"
        self._gate = gate
        self._each = each

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        failed: list[Outcome] = []
        unverified: Outcome | None = None
        reason = _reason(context)
        tiers = context.climb(gated=True)
        for tier, gate in zip(tiers, self._gates(context, tiers), strict=True):
            top = tier is tiers[-1]
            if failed:
                yield from note(moved(failed[-1], tier))
            try:
                outcome = yield from self._try(task, context, tier, top, gate, reason=reason, before=failed)
            except AllModelsFailedError as error:
                failed.extend(error.outcomes)
                reason = f"fallback: {tier.name} failed"
                continue
            if outcome.committed or (top and shown(task) == Show.LIVE):
                return outcome
            if closed(gate, outcome):
                failed.append(outcome)
                reason = f"escalation: the gate closed {tier.name}"
                continue
            outcome = yield from judged(self._verifier, task, outcome, context)
            if top or self._accepts(outcome):
                return outcome
            unverified = unverified if _rejected(outcome) else outcome
            failed.append(outcome)
            reason = f"escalation: {tier.name} {_weakness(outcome)}"
        if unverified is not None:
            return unverified
        raise AllModelsFailedError(failed)

    def _gates(self, context: Context, tiers: Sequence[Tier]) -> list[Gate | None]:
        """The gate of each tier; the decision's is for the first."""
        own = self._gate if self._each is None else None
        gates = [*[own] * (len(tiers) - 1), None]
        return gates if context.gate is None else [context.gate, *gates[1:]]

    def _try(
        self, task: Task, context: Context, tier: Tier, top: bool, gate: Gate | None, **told: Any
    ) -> Flow[Outcome]:
        if self._each is not None and not top and gate is None:
            # Held, whatever it would show by itself: its answer is a draft here.
            return (yield from held(answer_of(self._each, task, context.at(tier), purpose="draft")))
        fields: dict[str, Any] = {"purpose": "draft", "show": Show.HOLD}
        if gate is not None:
            fields = {"purpose": "draft", "show": Show.GATED, "gate": gate}
        if top:
            fields = {"purpose": "answer", "show": shown(task)}
        wanted = self._verifier.wants_logprobs or wants_logprobs(gate)
        return (yield from first_answer(task, tier, logprobs=wanted, **fields, **told))

    def _accepts(self, outcome: Outcome) -> bool:
        verdict = outcome.verdict
        return verdict is not None and (verdict.accepted or (self._accept_unverified and not verdict.rejected))

    def refs(self) -> Iterable[str]:
        """See `Strategy`."""
        return [*super().refs(), *(self._each.refs() if self._each else ())]


def _reason(context: Context) -> str:
    return context.start.reason if context.start else ""


def _rejected(outcome: Outcome) -> bool:
    return outcome.verdict is not None and outcome.verdict.rejected


def _weakness(outcome: Outcome) -> str:
    verdict = outcome.verdict
    return f"{'rejected' if _rejected(outcome) else 'unverified'}: {verdict.plain if verdict else ''}"
