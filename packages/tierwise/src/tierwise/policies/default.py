"""Who tries first if the user does not say."""

from __future__ import annotations

from tierwise.policies.base import FirstOf, Policy, PolicyLike
from tierwise.policies.jobs import JobTable
from tierwise.policies.stalled import Stalled
from tierwise.policies.steps import ActStep, AfterError, HighStakes, PlanStep

__all__ = ["default_policy"]


def default_policy(*rules: PolicyLike) -> Policy:
    """High stakes, then what went wrong one step before, then a step that plans, then the job.

    After a tool's result the lowest tier acts, and the job says who writes. An agent that makes no progress goes one
    tier up. Where all abstain, the lowest tier tries.

    Args:
        *rules: Policies that are asked after an error, and before it matters whether a step plans or acts.
    """
    return Stalled(FirstOf(HighStakes(), AfterError(), *rules, PlanStep(), ActStep(JobTable())))
