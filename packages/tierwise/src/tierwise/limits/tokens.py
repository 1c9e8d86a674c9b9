"""How many tokens a call used, as far as anybody knows."""

from __future__ import annotations

from tierwise.attempt import Outcome
from tierwise.fleet.price import Usage
from tierwise.values import evolve

__all__ = ["used"]


def used(outcome: Outcome) -> Usage:
    """The tokens that a call used; the prompt's, estimated, where nobody counted."""
    usage = outcome.usage or Usage(estimated=True)
    if usage.input_tokens is None:
        usage = evolve(usage, input_tokens=outcome.attempt.task.estimated_tokens)
    return usage if usage.output_tokens is not None else evolve(usage, output_tokens=0)
