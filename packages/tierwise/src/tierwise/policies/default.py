"""Who tries first if the user does not say."""

from __future__ import annotations

from tierwise.policies.base import Policy
from tierwise.policies.jobs import JobTable
from tierwise.policies.steps import AfterError, HighStakes

__all__ = ["default_policy"]


def default_policy() -> Policy:
    """High stakes, then what went wrong one step before, then the job; the lowest tier where all abstain."""
    return HighStakes() | AfterError() | JobTable()
