"""The rate limit of a router that was given none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tierwise.fleet.model import ModelSpec
from tierwise.limits.base import Limit

if TYPE_CHECKING:
    from tierwise.limits.rate import RateLimit

__all__ = ["SETTINGS", "implied"]

SETTINGS = ("concurrency", "requests_per_minute", "tokens_per_minute")
"""What a model can be limited to."""


def implied(models: Iterable[ModelSpec], limits: Sequence[Limit]) -> Sequence[RateLimit]:
    """The rate limit of a router that was given none, if a model of its fleet says what it is limited to."""
    if not any(getattr(model, setting) is not None for model in models for setting in SETTINGS):
        return ()
    from tierwise.limits.rate import RateLimit

    return () if any(isinstance(limit, RateLimit) for limit in limits) else (RateLimit(local=None),)
