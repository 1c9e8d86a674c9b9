"""What a call cost: by what answered, and never by another model's price."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.fleet import FREE, Cost, Fleet, ModelSpec, Price, Tier, Usage
from tierwise.fleet.genai import GenaiCatalogue
from tierwise.fleet.pricing import Pricing

MILLION = Usage(1_000_000, 1_000_000)
SMALL = ModelSpec("cloud:small", price=Price(1, 2))
LARGE = ModelSpec("cloud:large", price=Price(10, 20))
UNPRICED = ModelSpec("cloud:mystery")
LOCAL = ModelSpec("ollama:qwen3:4b", price=FREE)


class Listed:
    """A catalogue of one model."""

    def cost(self, provider: str, model: str, usage: Usage) -> Cost:
        return Cost(Decimal(7), "catalogue") if (provider, model) == ("cloud", "listed") else Cost(None)

    def window(self, provider: str, model: str) -> int | None:
        return 8192 if (provider, model) == ("cloud", "listed") else None

    def price(self, provider: str, model: str) -> Price | None:
        return Price(7, 7, source="catalogue") if (provider, model) == ("cloud", "listed") else None


def pricing(*models: ModelSpec, catalogue: GenaiCatalogue | Listed | None = None) -> Pricing:
    return Pricing(Fleet([Tier("all", models)]), catalogue or Listed())


def test_the_users_price_comes_first() -> None:
    own = ModelSpec("cloud:listed", price=Price(1, 1))
    assert pricing(own).cost(own, "listed", MILLION) == Cost(Decimal(2), "user")
    bare = ModelSpec("cloud:listed")
    assert pricing(bare).cost(bare, "listed", MILLION) == Cost(Decimal(7), "catalogue")


def test_another_model_that_answers_is_priced_as_itself() -> None:
    prices = pricing(SMALL, LARGE)
    assert prices.cost(SMALL, "large", MILLION).usd == 30
    assert prices.cost(SMALL, "listed", MILLION).usd == 7
    assert prices.cost(SMALL, "nobody-knows", MILLION).usd is None


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("gpt-x", "gpt-x", True),
        ("gpt-x", None, True),
        ("gpt-x", "gpt-x-2026-01-31", True),
        ("gpt-x", "gpt-x-20260131", True),
        ("gpt-x", "gpt-x@20260131", True),
        ("gpt-x-2026-01-31", "gpt-x", True),
        ("qwen3", "qwen3:latest", True),
        ("gpt-x-2026-01-31", "gpt-x-2025-01-31", False),
        ("gpt-x", "gpt-x-mini", False),
        ("gpt-x", "gpt-x-mini-2026-01-31", False),
        ("qwen3:4b", "qwen3:8b", False),
    ],
)
def test_a_price_holds_for_a_release_of_the_same_model_alone(asked: str, answered: str | None, same: bool) -> None:
    model = ModelSpec(f"cloud:{asked}", price=Price(1, 2))
    assert pricing(model).cost(model, answered, MILLION).usd == (3 if same else None)


def test_a_local_model_costs_zero_even_without_counts() -> None:
    assert pricing(LOCAL).cost(LOCAL, "qwen3:4b", None).usd == 0


def test_what_is_unknown_is_none_and_never_zero() -> None:
    prices = pricing(UNPRICED)
    assert prices.cost(UNPRICED, None, MILLION).usd is None
    assert prices.cost(UNPRICED, None, None).usd is None
    assert prices.price(UNPRICED) is None


def test_a_total_is_unknown_if_any_part_is() -> None:
    prices = pricing(SMALL)
    assert prices.total(SMALL, [MILLION, MILLION]).usd == 6
    assert prices.total(SMALL, [MILLION, None]).usd is None
    assert prices.total(SMALL, []).usd is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=5))
def test_a_total_is_the_sum_of_its_calls(counts: list[tuple[int, int]]) -> None:
    prices = pricing(LARGE)
    usages = [Usage(*pair) for pair in counts]
    costs = [prices.cost(LARGE, None, usage).usd for usage in usages]
    assert prices.total(LARGE, usages).usd == sum(c for c in costs if c is not None)


def test_the_price_for_display_is_the_one_that_is_charged() -> None:
    catalogue = GenaiCatalogue()
    model = ModelSpec("openai:gpt-4o")
    prices = pricing(model, catalogue=catalogue)
    shown = prices.price(model)
    assert shown is not None
    assert shown.source == "catalogue"
    assert shown.cost(MILLION).usd == prices.cost(model, None, MILLION).usd
    overridden = replace(model, price=Price(1, 1))
    assert pricing(overridden, catalogue=catalogue).price(overridden) == Price(1, 1)


def test_the_window_is_the_models_own_or_the_listed_one() -> None:
    prices = pricing(ModelSpec("cloud:listed"))
    assert prices.window(ModelSpec("cloud:listed")) == 8192
    assert prices.window(ModelSpec("cloud:listed", window=4096)) == 4096
    assert prices.window(UNPRICED) is None
