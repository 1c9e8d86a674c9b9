"""`[tiers]`, `[specialists]`, `baseline` and `[prices]`: what can answer, at what price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tierwise.config.document import Table
from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Price

__all__ = ["read_fleet", "read_price"]

_SETTINGS: Mapping[str, type] = {
    "alias": str,
    "temperature": float,
    "top_p": float,
    "seed": int,
    "reasoning_effort": str,
    "max_output_tokens": int,
    "num_ctx": int,
    "window": int,
    "trust": str,
    "concurrency": int,
    "requests_per_minute": int,
    "tokens_per_minute": int,
}

_RATES = ("input", "output", "cached_input", "cache_write", "request")


def read_fleet(root: Table) -> Fleet:
    """The fleet that a file describes; the ladder has the order of the file, smallest first.

    Raises:
        ConfigFileError: A setting is wrong.
    """
    ladder = root.table("tiers")
    if ladder is None or not ladder.keys:
        raise root.error('needs at least one tier, e.g. [tiers] with small = ["ollama:qwen3:4b"]')
    tiers = list(_tiers(ladder))
    beside = root.table("specialists")
    specialists = list(_tiers(beside)) if beside is not None else []
    with root.placing("specialists" if beside is not None else "tiers"):
        fleet = Fleet(tiers, specialists=specialists)
    fleet = Fleet(fleet.ladder, specialists=fleet.specialists, baseline=_baseline(root, fleet))
    prices = root.table("prices")
    return fleet if prices is None else _priced(fleet, prices)


def _tiers(table: Table) -> Iterator[Tier]:
    """Each key is a tier: a model, a list of models, or a table with `models`."""
    for name in table.keys:
        holder, key = table, name
        if name in table and _is_table_of_models(table, name):
            inner = table.table(name)
            assert inner is not None  # noqa: S101 - told one line above
            inner.only(["models"])
            holder, key = inner, "models"
        with holder.placing(key):
            yield Tier(name, [_model(item, holder, key) for item in holder.items(key)])


def _is_table_of_models(table: Table, name: str) -> bool:
    value = table.as_dict()[name]
    return isinstance(value, dict) and "id" not in value


def _model(item: str | Table, holder: Table, key: str) -> ModelSpec:
    if isinstance(item, str):
        with holder.placing(key):
            return ModelSpec(item)
    item.only(["id", *_SETTINGS, "capabilities", "options", "price"])
    settings: dict[str, Any] = {name: item.get(name, kind) for name, kind in _SETTINGS.items()}
    capabilities, options, price = item.texts("capabilities"), item.table("options"), item.table("price")
    return item.build(
        ModelSpec,
        item.need("id", str),
        **settings,
        capabilities=None if capabilities is None else frozenset(capabilities),
        options=None if options is None else options.as_dict(),
        price=None if price is None else read_price(price),
    )


def read_price(table: Table) -> Price:
    """The price that a table gives, in USD for a million tokens.

    Raises:
        ConfigFileError: A figure is missing or wrong.
    """
    table.only(_RATES)
    table.need("input", float)
    table.need("output", float)
    # As the file writes them: a float's decimal digits are exact, its binary ones are not.
    return table.build(
        Price, **{name: table.as_dict().get(name) for name in _RATES if table.get(name, float) is not None}
    )


def _baseline(root: Table, fleet: Fleet) -> ModelSpec | None:
    """A model of the fleet by name, or a table for one that is only compared with."""
    items = root.items("baseline")
    if not items:
        return None
    first = items[0]
    if isinstance(first, Table):
        return _model(first, root, "baseline")
    with root.placing("baseline"):
        return fleet.find(first)


def _priced(fleet: Fleet, prices: Table) -> Fleet:
    """The fleet with the prices that `[prices]` gives for ids or aliases."""
    known = {name for m in (*fleet.models, fleet.baseline) for name in (m.id, m.key)}
    given: dict[str, Price] = {}
    for name in prices.keys:
        if name not in known:
            prices.only(sorted(known))
        table = prices.table(name)
        if table is not None:
            given[name] = read_price(table)

    def priced(model: ModelSpec) -> ModelSpec:
        price = given.get(model.key) or given.get(model.id)
        return model if price is None or model.price is not None else replace(model, price=price)

    return fleet.map(priced)
