"""The safe first day in production: decide and log, and change nothing."""

from __future__ import annotations

from collections.abc import Iterable

from tierwise.attempt import Outcome
from tierwise.context import Context, fitting
from tierwise.fleet.fleet import Tier
from tierwise.flow import Flow, Stated, note
from tierwise.strategies.base import Strategy, first_answer, shown
from tierwise.task import Task

__all__ = ["Observe"]


class Observe(Strategy):
    """The baseline answers, as it would without a router; where the policy would have started is only logged.

    Nothing falls back and nothing escalates. Trust holds all the same. What the decision would have cost shows in an
    audit of the ledger.

    Args:
        baseline: The model, or the tier, that answers today; the fleet's baseline by default.
    """

    def __init__(self, baseline: str | None = None) -> None:
        self._baseline = baseline

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        tier = self._tier(task, context)
        start = context.start
        if start is not None:
            text = f"observed: {start.rule or 'the default'} would start at {start.tier}; {tier.models[0].key} answers"
            data = {"tier": start.tier, "rule": start.rule, "answers": tier.models[0].key}
            yield from note(Stated(text, data))
        return (yield from first_answer(task, tier, show=shown(task), reason="observe mode: the baseline answers"))

    def refs(self) -> Iterable[str]:
        """See `Strategy`."""
        return () if self._baseline is None else (self._baseline,)

    def _tier(self, task: Task, context: Context) -> Tier:
        if self._baseline is not None:
            models = context.models(self._baseline, task)
        else:
            # It need not stand in the fleet: savings may be measured against a model that is no longer used.
            models = fitting([context.fleet.baseline], task)
        name = self._baseline if self._baseline in context.fleet.names else context.tier_of(models[0])
        return Tier(name or "baseline", models[:1])
