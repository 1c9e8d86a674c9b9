"""What a call may cost, before it is made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import TypeAlias

from tierwise.errors import ConfigError, UnpricedError
from tierwise.fleet.price import Price, Usage
from tierwise.limits.base import Call

__all__ = ["NANO", "Estimate", "Rates", "as_usd", "checked", "cost", "nano", "rates"]

NANO = Decimal(1_000_000_000)
"""Nano-dollars of a dollar."""

_MILLION = 1_000_000

Estimate: TypeAlias = "Price | Mapping[str, Price] | None"
"""The price to count with where a model's is not known: one for all, or by a model's alias, id or provider."""


def checked(estimate: Estimate) -> Estimate:
    """The estimate.

    Raises:
        ConfigError: It is neither a price, nor prices by name.
    """
    given: Collection[object] = estimate.values() if isinstance(estimate, Mapping) else (estimate,)
    if estimate is not None and not all(isinstance(price, Price) for price in given):
        raise ConfigError(
            f"estimate={estimate!r} must be a price, in USD per million tokens, or one for each model: "
            "estimate=Price(3, 15), or estimate={'x:m': Price(3, 15)}",
            setting="estimate",
            value=estimate,
        )
    return estimate


@dataclass(frozen=True, slots=True)
class Rates:
    """A price, as a budget counts: whole nano-dollars, rounded up."""

    price: Price
    prompt: int
    """For a million tokens of the prompt."""
    written: int
    """The same, where the prompt is written to a cache."""
    each: int
    """For each output token."""
    request: int

    def of(self, tokens: int, *, written: bool) -> int:
        """What a prompt of so many tokens costs."""
        return -(-tokens * (self.written if written else self.prompt) // _MILLION) + self.request


def rates(price: Price) -> Rates:
    """A price, as a budget counts."""
    return Rates(price, nano(price.input), nano(price.cache_write), nano(price.output / _MILLION), nano(price.request))


def cost(call: Call, usage: Usage, estimate: Estimate, limit: str) -> Decimal:
    """USD of that usage at the price of the model that is asked, or at the configured one where that is not known.

    Raises:
        UnpricedError: Neither is known.
    """
    model = call.attempt.model
    usd = call.pricing.cost(model, None, usage).usd
    if usd is None:
        price = estimate if isinstance(estimate, Price) or estimate is None else _chosen(call, estimate)
        usd = None if price is None else price.cost(usage).usd
    if usd is None:
        raise UnpricedError(
            f"{limit} counts USD, and the price of {model.key} is not known: give it one, e.g. "
            f"ModelSpec({model.id!r}, price=Price(3, 15)), or Budget(estimate=Price(3, 15)) for all such models",
            limit=limit,
        )
    return usd


def _chosen(call: Call, estimate: Mapping[str, Price]) -> Price | None:
    model = call.attempt.model
    return estimate.get(model.key) or estimate.get(model.id) or estimate.get(model.provider)


def nano(usd: Decimal) -> int:
    """Whole nano-dollars, rounded up."""
    return ceil(usd * NANO)


def as_usd(amount: int) -> Decimal:
    """Nano-dollars in USD."""
    return Decimal(amount) / NANO
