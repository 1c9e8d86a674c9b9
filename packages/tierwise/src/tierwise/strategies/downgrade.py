"""Go down to a tier that a budget can still pay."""

from __future__ import annotations

from tierwise.attempt import Outcome
from tierwise.context import Context
from tierwise.errors import AllModelsFailedError, BudgetExceededError
from tierwise.flow import Flow, note
from tierwise.strategies.base import first_of, moved, shown
from tierwise.task import Task

__all__ = ["within_budget"]


def within_budget(flow: Flow[Outcome], task: Task, context: Context) -> Flow[Outcome]:
    """The flow's answer; where a budget refused what it asked for, that of the highest tier below that still fits.

    Args:
        flow: A strategy's.
        task: What is asked.
        context: Whose tiers may be asked; none below the task's `min_tier` is among them.

    Raises:
        AllModelsFailedError: No tier below answered either.
    """
    try:
        return (yield from flow)
    except AllModelsFailedError as error:
        refused = [o for o in error.outcomes if isinstance(o.error, BudgetExceededError)]
        asked = {o.attempt.tier for o in error.outcomes}
        names = [tier.name for tier in context.ladder]
        lowest = min((i for i, name in enumerate(names) if name in asked), default=0)
        below = context.ladder[:lowest][::-1]
        if not refused or not below:
            raise
        yield from note(moved(refused[-1], below[0]))
        try:
            return (yield from first_of(task, below, show=shown(task), reason=f"downgrade: {refused[-1].error}"))
        except AllModelsFailedError as last:
            raise AllModelsFailedError((*error.outcomes, *last.outcomes)) from None
