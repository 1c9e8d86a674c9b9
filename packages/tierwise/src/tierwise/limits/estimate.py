"""What a call may take, before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from tierwise.errors import UnpricedError
from tierwise.fleet.price import Price, Usage
from tierwise.flow import Outcome
from tierwise.limits.base import Call
from tierwise.task import CHARS_PER_TOKEN, Task
from tierwise.values import evolve

__all__ = ["NANO", "TOKENS_OF_AN_IMAGE", "as_usd", "cost", "nano", "prompt_tokens", "used"]

NANO = 1_000_000_000
"""Nano-dollars of a dollar."""

TOKENS_OF_AN_IMAGE = 1_600
"""What an image of about a megapixel, the largest that most vision models take in whole, is billed as."""


def prompt_tokens(task: Task) -> int:
    """The estimated length of all that is sent: messages, images, tools and their calls."""
    written = sum(len(str(c.arguments)) for m in task.messages for c in m.tool_calls)
    written += sum(len(t.name) + len(t.description) + len(str(t.parameters)) for t in task.tools)
    return task.estimated_tokens + written // CHARS_PER_TOKEN + TOKENS_OF_AN_IMAGE * len(task.images)


def used(outcome: Outcome) -> Usage:
    """The tokens that a call used; the prompt's, estimated, where nobody counted."""
    usage = outcome.usage or Usage(estimated=True)
    if usage.input_tokens is None:
        usage = evolve(usage, input_tokens=prompt_tokens(outcome.attempt.task))
    return usage if usage.output_tokens is not None else evolve(usage, output_tokens=0)


def cost(call: Call, usage: Usage, estimate: Mapping[str, Price] | Price | None, limit: str) -> Decimal:
    """USD of that usage at the price of the model that is asked, or at the configured one where that is not known.

    Raises:
        UnpricedError: Neither is known.
    """
    model = call.attempt.model
    usd = call.pricing.cost(model, None, usage).usd
    if usd is None:
        price = estimate if isinstance(estimate, Price) or estimate is None else estimate.get(model.key)
        usd = None if price is None else price.cost(usage).usd
    if usd is None:
        raise UnpricedError(
            f"{limit} counts USD, and the price of {model.key} is not known: give it one, e.g. "
            f"ModelSpec({model.id!r}, price=Price(3, 15)), or Budget(estimate=Price(3, 15)) for all such models",
            limit=limit,
        )
    return usd


def nano(usd: Decimal) -> int:
    """Whole nano-dollars, rounded up."""
    return int((usd * NANO).to_integral_value(ROUND_CEILING))


def as_usd(amount: int) -> Decimal:
    """Nano-dollars in USD."""
    return Decimal(amount) / NANO
