"""LangChain's own cost of a call, beside a routed call of the same chat model. Runs in the adapter's environment."""

from __future__ import annotations

from typing import Any

import pytest
from instant_chat import Instant, calls
from tasks import LENGTHS, request
from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Router, Tier
from tierwise_langgraph import RoutedChatModel

SHORT = request(150)
BARE = Instant()
FLEET = Fleet(
    [
        Tier("small", ModelSpec("local:small", price=Price(0, 0))),
        Tier("large", ModelSpec("local:large", price=Price(3, 15))),
    ]
)


def accepts(outcome: Outcome) -> bool:
    return bool(outcome.text)


def routed(**task: Any) -> RoutedChatModel:
    router = Router(FLEET, strategy=Cascade(accepts))
    return RoutedChatModel(router, models={"small": BARE, "large": BARE}, task=task)


def measure(benchmark: Any, function: Any) -> None:
    benchmark.pedantic(function, rounds=1_000, warmup_rounds=100)


@pytest.mark.parametrize("length", LENGTHS)
def test_routed_by_length(benchmark: Any, length: int) -> None:
    measure(benchmark, calls(routed(), request(length))["sync"])


def test_direct_sync(benchmark: Any) -> None:
    measure(benchmark, calls(BARE, SHORT)["sync"])


def test_routed_sync(benchmark: Any) -> None:
    measure(benchmark, calls(routed(), SHORT)["sync"])


def test_direct_async(benchmark: Any) -> None:
    measure(benchmark, calls(BARE, SHORT)["async"])


def test_routed_async(benchmark: Any) -> None:
    measure(benchmark, calls(routed(), SHORT)["async"])


def test_direct_stream(benchmark: Any) -> None:
    measure(benchmark, calls(BARE, SHORT)["stream"])


def test_routed_stream(benchmark: Any) -> None:
    # The top tier answers live: the same chunks pass through. A smaller tier's answer is held, and is one chunk.
    measure(benchmark, calls(routed(min_tier="large"), SHORT)["stream"])
