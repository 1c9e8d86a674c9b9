"""Public prices, from genai-prices: bundled with that package, so no network is used."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, cast

import genai_prices
from genai_prices import types
from genai_prices.data_snapshot import get_snapshot

from tierwise.fleet.price import Cost, Price, Usage

__all__ = ["GenaiCatalogue"]

_PROVIDERS: Mapping[str, str] = {
    "bedrock": "aws",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "google-gla": "google",
    "google-vertex": "google",
    "grok": "x-ai",
    "moonshot": "moonshotai",
    "together_ai": "together",
    "vertex_ai": "google",
    "xai": "x-ai",
}
"""What routing prefixes call a provider, and what the catalogue calls it. All other prefixes must be its own ids."""

_RELEASE = re.compile(
    r"(?:[-@:](?:20\d{6}|20\d\d-\d\d-\d\d|\d\d-\d\d|\d{3,4}|v\d+(?::\d+)?|latest|default|preview|exp))*$"
)
"""What may follow a model's name without making it another model: dates, revisions, release words."""

_HEAD = re.compile(r"(?:[a-z0-9_-]+[./])*$")
"""What may stand before it: a region, a vendor, a path."""

_PARTIAL_DATE = re.compile(r"(?:[-@]20\d\d)?[-@]?$")
"""The part of a release's suffix that a pattern of the catalogue may already contain."""


class GenaiCatalogue:
    """Prices from genai-prices.

    Its patterns can match a name that merely begins like a listed one; here such a model is unknown, since its price
    would be another model's.
    """

    def cost(self, provider: str, model: str, usage: Usage) -> Cost:
        """USD for that usage at the public price of today; unknown if the model or its tokens are not priced there."""
        info = _find(provider, model)
        if info is None:
            return Cost(None)
        rates = _flat_rates(provider, model, id(get_snapshot())) if _is_plain(usage) else None
        if rates is not None and not rates.is_free:
            return rates.cost(usage)
        counted = genai_prices.Usage(
            input_tokens=usage.input_tokens or 0,
            output_tokens=usage.output_tokens or 0,
            cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_reasoning_tokens=usage.reasoning_tokens,
        )
        try:
            priced = genai_prices.calc_price(counted, model, provider_id=_provider_id(provider))
        except ValueError:  # counts that contradict each other, e.g. more cached tokens than input tokens
            return Cost(None)
        if not _prices_tokens(priced.model_price, usage):
            return Cost(None)
        return Cost(priced.total_price, "catalogue")

    def price(self, provider: str, model: str) -> Price | None:
        """USD for a million tokens, of short prompts where longer ones cost more; `None` if it is not listed."""
        info = _find(provider, model)
        if info is None:
            return None
        listed = genai_prices.calc_price(genai_prices.Usage(), model, provider_id=_provider_id(provider)).model_price
        rates = {name: _base(rate) for name, rate in vars(listed).items()}
        inputs, outputs = rates.get("input_mtok"), rates.get("output_mtok")
        if inputs is None or outputs is None:
            return None
        return Price(
            inputs,
            outputs,
            cached_input=rates.get("cache_read_mtok"),
            cache_write=rates.get("cache_write_mtok"),
            request=(rates.get("requests_kcount") or Decimal(0)) / 1000,
            source="catalogue",
        )

    def window(self, provider: str, model: str) -> int | None:
        """The largest context in tokens; `None` if it is not listed."""
        info = _find(provider, model)
        return None if info is None else info.context_window


@lru_cache(maxsize=1024)
def _flat_rates(provider: str, model: str, snapshot: int) -> Price | None:
    """What plain tokens cost, where that is the same at any time and length; `None` where the catalogue must be asked.

    Most calls are of this kind, and asking the catalogue takes ten times as long. `snapshot` tells one state of the
    catalogue, which can update itself, from the next.
    """
    info = _find(provider, model)
    if info is None or not isinstance(info.prices, types.ModelPrice):
        return None
    rates: Mapping[str, Any] = vars(info.prices)
    inputs, outputs = rates.get("input_mtok"), rates.get("output_mtok")
    if not isinstance(inputs, Decimal) or not isinstance(outputs, Decimal) or rates.get("requests_kcount"):
        return None
    return Price(inputs, outputs, source="catalogue")


def _is_plain(usage: Usage) -> bool:
    return not (usage.cached_tokens or usage.cache_write_tokens or usage.reasoning_tokens)


def _provider_id(prefix: str) -> str:
    return _PROVIDERS.get(prefix, prefix)


def _find(prefix: str, name: str) -> types.ModelInfo | None:
    return _found(prefix, name, id(get_snapshot()))


@lru_cache(maxsize=1024)
def _found(prefix: str, name: str, snapshot_id: int) -> types.ModelInfo | None:
    """What the catalogue says of a model: a search of all its providers, so it is made once for each state of it."""
    snapshot, wanted = get_snapshot(), _provider_id(prefix)
    provider = next((p for p in snapshot.providers if p.id == wanted), None)
    if provider is None:  # asking by id would match a part of it: `my-openai-proxy` would have OpenAI's prices
        return None
    try:
        _, info = snapshot.find_provider_model(name, provider, None, None)
    except LookupError:
        return None
    return info if _is_named(info, name.lower()) else None


def _is_named(info: types.ModelInfo, name: str) -> bool:
    return name == info.id.lower() or any(_names(clause, name) for clause in _clauses(info.match))


def _clauses(match: Any) -> Iterator[Any]:
    inner = getattr(match, "or_", None) or getattr(match, "and_", None)
    if inner is None:
        yield match
    for clause in inner or ():
        yield from _clauses(clause)


def _names(clause: Any, name: str) -> bool:
    if isinstance(clause, types.ClauseEquals):
        # The catalogue writes out the dashes of a compact date before it compares.
        return clause.is_match(name) or _compact(clause.equals.lower()) == _compact(name)
    if isinstance(clause, types.ClauseRegex):
        return not clause.regex.startswith("^(?!") and clause.is_match(name)
    (literal,) = cast("dict[str, str]", vars(clause)).values()
    head, found, tail = name.partition(_PARTIAL_DATE.sub("", literal))
    if literal.startswith("ft:"):  # a fine-tuned model: its own name follows its base's
        return bool(found) and not head
    return bool(found) and _HEAD.match(head) is not None and _RELEASE.match(tail) is not None


def _compact(name: str) -> str:
    return re.sub(r"(20\d\d)-(\d\d)-(\d\d)$", r"\1\2\3", name)


def _prices_tokens(listed: types.ModelPrice, usage: Usage) -> bool:
    """False where tokens were used that have no price: some models are priced by the second or the page."""
    rates = vars(listed)
    return not (
        (usage.input_tokens and rates.get("input_mtok") is None)
        or (usage.output_tokens and rates.get("output_mtok") is None)
    )


def _base(rate: Any) -> Decimal | None:
    return rate.base if isinstance(rate, types.TieredPrices) else rate
