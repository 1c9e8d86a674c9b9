"""What did a call cost? The user's price, else a local model's zero, else the catalogue's; else it is unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from tierwise.fleet.fleet import Fleet
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Cost, Price, Usage

__all__ = ["Catalogue", "Pricing", "installed_catalogue"]

_DATED = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$|:latest$")


class Catalogue(Protocol):
    """A list of public prices."""

    def cost(self, provider: str, model: str, usage: Usage) -> Cost:
        """USD for that usage at the model's public price; unknown if the model is not listed.

        Args:
            provider: The prefix of the model's id.
            model: The model, as the provider names it.
            usage: The token counts.
        """
        ...

    def price(self, provider: str, model: str) -> Price | None:
        """The model's public price for short prompts, for display."""
        ...

    def window(self, provider: str, model: str) -> int | None:
        """The model's largest context in tokens; `None` if it is not listed."""
        ...


class Pricing:
    """Prices what *answered*, which may not be what was asked for.

    Args:
        fleet: Whose models may have prices of their own.
        catalogue: Public prices; those of genai-prices where it is installed.
    """

    def __init__(self, fleet: Fleet, catalogue: Catalogue | None = None) -> None:
        self._prices: dict[tuple[str, str], Price] = {
            (m.provider, m.name): m.price for m in (*fleet.models, fleet.baseline) if m.price is not None
        }
        self._catalogue = catalogue

    def cost(self, model: ModelSpec, answered: str | None, usage: Usage | None) -> Cost:
        """USD of a call that was sent to `model` and answered by `answered`.

        Another model's price is never used: a dated release of the model that was asked for takes its price, any other
        name is looked up on its own.

        Args:
            model: The model that was asked.
            answered: The model that answered, as the provider names it; the one that was asked if not known.
            usage: The token counts; the cost is unknown without them.
        """
        if model.price is not None and _same(model.name, answered):
            return model.price.cost(usage)
        name = answered or model.name
        own = self._prices.get((model.provider, name))
        if own is not None:
            return own.cost(usage)
        if usage is None or usage.input_tokens is None or usage.output_tokens is None:
            return Cost(None)
        catalogue = self._catalogue or installed_catalogue()
        return Cost(None) if catalogue is None else catalogue.cost(model.provider, name, usage)

    def price(self, model: ModelSpec) -> Price | None:
        """The price of the model, for display and for comparisons."""
        if model.price is not None:
            return model.price
        catalogue = self._catalogue or installed_catalogue()
        return None if catalogue is None else catalogue.price(model.provider, model.name)

    def window(self, model: ModelSpec) -> int | None:
        """The model's context in tokens, for display: its own, else the listed one; `None` if it is not known."""
        if model.context is not None:
            return model.context
        catalogue = self._catalogue or installed_catalogue()
        return None if catalogue is None else catalogue.window(model.provider, model.name)

    def total(self, model: ModelSpec, usages: Iterable[Usage | None]) -> Cost:
        """USD of several calls of one model; unknown if any of them is."""
        costs = [self.cost(model, None, usage) for usage in usages]
        known = [c.usd for c in costs if c.usd is not None]
        return Cost(sum(known[1:], known[0]), costs[0].source) if known and len(known) == len(costs) else Cost(None)


def _same(asked: str, answered: str | None) -> bool:
    """True if one is the other, or a dated release of it; two releases of different dates are not the same."""
    if answered is None or answered == asked:
        return True
    return asked == _DATED.sub("", answered) or answered == _DATED.sub("", asked)


@lru_cache(maxsize=1)
def installed_catalogue() -> Catalogue | None:
    """The prices of genai-prices, if that is installed."""
    try:
        from tierwise.fleet.genai import GenaiCatalogue
    except ImportError:
        return None
    return GenaiCatalogue()
