"""What limits add to a routed call: routers with and without them take turns, so that both see the same machine."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from bench_tierwise import LARGE, SHORT, SMALL, drained, make
from tierwise import Budget, CircuitBreaker, Fleet, Price, RateLimit, RedisState, Retry, Router, Tier
from tierwise.errors import ConfigError
from tierwise.limits import Limit, ModelLimits
from tierwise.state import State
from tierwise.testing.redis import RedisServer

__all__ = ["KINDS", "ON_REDIS", "added"]

KINDS = ("sync", "async", "stream")
ALL = "all four: Budget, CircuitBreaker, RateLimit, Retry"
ON_REDIS = f"{ALL}, on Redis"
ROUNDS, WARM = 3_000, 300

FLEET = Fleet([Tier("small", replace(SMALL, price=Price("0.1", "0.4"))), Tier("large", LARGE)])
"""With a price: a budget in USD does not count what costs nothing."""

BUDGET = Budget(usd=1_000, per="day")
CIRCUITS = CircuitBreaker()
RATES = RateLimit({SMALL.provider: ModelLimits(concurrency=4, requests_per_minute=10**7)})
IN_MEMORY = {
    "Budget": [BUDGET],
    "CircuitBreaker": [CIRCUITS],
    "RateLimit": [RATES],
    ALL: [BUDGET, CIRCUITS, RATES],
}


def added() -> Iterator[tuple[str, list[float]]]:
    """What is measured, and the microseconds that it adds to a call of each kind: medians of pairs."""
    for name, limits in IN_MEMORY.items():
        yield f"{name}, in memory", _pairs(limits, None)
    try:
        server = RedisServer()
    except ConfigError:
        return
    with server, RedisState(server.url) as state:
        yield ON_REDIS, _pairs([BUDGET, CIRCUITS, RATES], state)


def _pairs(limits: Sequence[Limit], state: State | None) -> list[float]:
    bare, limited = make(FLEET), make(FLEET, limits=limits, retry=Retry(), state=state)
    with asyncio.Runner() as runner:
        return [_median(_caller(kind, bare, runner), _caller(kind, limited, runner)) for kind in KINDS]


def _caller(kind: str, router: Router, runner: asyncio.Runner) -> Callable[[], object]:
    if kind == "sync":
        return lambda: router.run(SHORT)
    if kind == "async":
        return lambda: runner.run(router.arun(SHORT))
    return lambda: drained(router.stream(SHORT))


def _median(bare: Callable[[], object], limited: Callable[[], object]) -> float:
    took = [(_seconds(bare), _seconds(limited)) for _ in range(WARM + ROUNDS)][WARM:]
    return statistics.median(second - first for first, second in took) * 1e6


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
