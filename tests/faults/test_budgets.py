"""What a budget makes of models whose price nobody knows."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tierwise import Budget, Fleet, ModelSpec, Price, Single, Tier
from tierwise.errors import AllModelsFailedError, BudgetExceededError
from tierwise.testing.provider import Reply, Usage

from .scene import Scene, Way

HELLO = Reply(text="Hello there.", usage=Usage(input=100, output=50))
UNPRICED = Fleet([Tier(name, ModelSpec(f"ollama:{name}:cloud")) for name in ("small", "large")])
"""What a server does not run itself: neither it nor the user says what that costs."""


def test_fault_25_a_model_without_a_price_is_refused_by_name(scene: Scene, way: Way) -> None:
    router = scene.router(fleet=UNPRICED, limits=[Budget(usd=1)], strategy=Single())
    got = scene.ask(router, way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert scene.models == []
    assert [(row.state, row.cost) for row in got.rows] == [("refused", 0)] * 2
    for part in ("ollama:small:cloud", "price=Price(", "Budget(estimate="):
        assert part in str(got.error)


def test_fault_25_with_an_estimate_it_is_counted(scene: Scene, way: Way) -> None:
    scene.provider.on("small:cloud", HELLO)
    budget = Budget(usd=1, estimate=Price(10, 100))
    router = scene.router(fleet=UNPRICED, limits=[budget], strategy=Single())
    got = scene.ask(router, way=way)
    assert got.answer.receipt.cost is None, "the estimate is the budget's; the receipt does not claim to know"
    assert router.spending(budget).spent.usd == Decimal("0.006")


def test_fault_25_what_the_estimate_cannot_pay_does_not_go(scene: Scene, way: Way) -> None:
    router = scene.router(fleet=UNPRICED, limits=[Budget(usd="0.001", estimate=Price(10, 100))], strategy=Single())
    with pytest.raises(BudgetExceededError):
        _ = scene.ask(router, way=way).answer
    assert scene.models == []
