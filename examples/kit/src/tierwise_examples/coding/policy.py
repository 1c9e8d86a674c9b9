"""Which tier begins with what. One policy for the three frameworks: change it here first."""

from __future__ import annotations

from tierwise.policies import Always, Policy, Rule

from tierwise_examples.ladders import Ladder

__all__ = ["policy"]


def policy(ladder: Ladder) -> Policy:
    """Planning is worth the largest model, patches begin at the one that writes code, and all else is for the smallest.

    Args:
        ladder: Whose tiers there are.
    """
    plan, patch, other = (ladder.at(tier) for tier in ("large", "code", "small"))
    return Rule(job="plan", tier=plan) | Rule(job="patch", tier=patch) | Always(other)
