"""`[limits]`: what may refuse a call, and how often one is made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import get_args

from tierwise.config.document import Table
from tierwise.config.fleet import read_price
from tierwise.fleet.fleet import Fleet
from tierwise.limits import Budget, CircuitBreaker, Limit, ModelLimits, RateLimit, Retry
from tierwise.limits.base import named_apart
from tierwise.limits.budget import Per

__all__ = ["LimitSettings", "read_limits"]


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What bounds a router's calls."""

    limits: Sequence[Limit] = ()
    _: KW_ONLY
    retry: Retry | None = None
    max_calls: int | None = None
    """See `Router`."""


def read_limits(table: Table | None, fleet: Fleet) -> LimitSettings | None:
    """What a file says of limits; `None` if nothing.

    Raises:
        ConfigFileError: A setting is wrong, two budgets have the same name, or a rate is given to no model.
    """
    if table is None:
        return None
    table.only(["max_calls", "budget", "circuit", "rate", "retry"])
    max_calls = table.get("max_calls", int)
    if max_calls is not None and max_calls < 1:
        raise table.error(f"{max_calls} must be one or more", "max_calls")
    found: list[Limit | None] = [
        *map(_budget, table.tables("budget")),
        _circuit(table.table("circuit")),
        _rate(table.table("rate"), fleet),
    ]
    with table.placing("budget"):
        limits = named_apart(limit for limit in found if limit is not None)
    return LimitSettings(limits, retry=_retry(table.table("retry")), max_calls=max_calls)


def _budget(table: Table) -> Budget:
    table.only(["usd", "tokens", "per", "tag", "timezone", "name", "on_exhausted", "estimate"])
    estimate = table.table("estimate")
    return table.build(
        Budget,
        table.get("usd", float),
        tokens=table.get("tokens", int),
        per=table.one_of("per", get_args(Per)),
        tag=table.get("tag", str),
        timezone=table.get("timezone", str),
        name=table.get("name", str),
        on_exhausted=table.one_of("on_exhausted", ["stop", "downgrade"]),
        estimate=None if estimate is None else read_price(estimate),
    )


def _circuit(table: Table | None) -> CircuitBreaker | None:
    if table is None:
        return None
    table.only(["failures", "cooldown", "longest", "probe", "name"])
    return table.build(
        CircuitBreaker,
        failures=table.get("failures", int),
        cooldown=table.get("cooldown", float),
        longest=table.get("longest", float),
        probe=table.get("probe", float),
        name=table.get("name", str),
    )


def _rate(table: Table | None, fleet: Fleet) -> RateLimit | None:
    if table is None:
        return None
    table.only(["wait", "local", "name", "models"])
    return table.build(
        RateLimit,
        _rates(table.table("models"), fleet),
        wait=table.get("wait", float),
        local=table.get("local", int),
        name=table.get("name", str),
    )


def _rates(table: Table | None, fleet: Fleet) -> dict[str, ModelLimits]:
    if table is None:
        return {}
    table.only(sorted({name for model in fleet.models for name in (model.key, model.id, model.provider)}))
    found = {name: table.table(name) for name in table.keys}
    return {name: _model_limits(one) for name, one in found.items() if one is not None}


def _model_limits(table: Table) -> ModelLimits:
    settings = ["concurrency", "requests_per_minute", "tokens_per_minute"]
    table.only(settings)
    return table.build(ModelLimits, **{setting: table.get(setting, int) for setting in settings})


def _retry(table: Table | None) -> Retry | None:
    if table is None:
        return None
    table.only(["total", "each", "pause", "longest"])
    return table.build(
        Retry,
        total=table.get("total", int),
        each=table.get("each", int),
        pause=table.get("pause", float),
        longest=table.get("longest", float),
    )
