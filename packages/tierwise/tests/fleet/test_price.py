"""A price turns tokens into USD: additive, never negative, and unknown where tokens are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.errors import ConfigError
from tierwise.fleet import FREE, Price, Usage

rates = st.decimals(0, 1000, places=4)
tokens = st.integers(0, 10**7)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    return Price(draw(rates), draw(rates), cached_input=draw(rates), cache_write=draw(rates))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    plain, cached, written = draw(tokens), draw(tokens), draw(tokens)
    return Usage(plain + cached + written, draw(tokens), cached_tokens=cached, cache_write_tokens=written)


def both(a: Usage, b: Usage) -> Usage:
    return Usage(
        (a.input_tokens or 0) + (b.input_tokens or 0),
        (a.output_tokens or 0) + (b.output_tokens or 0),
        cached_tokens=a.cached_tokens + b.cached_tokens,
        cache_write_tokens=a.cache_write_tokens + b.cache_write_tokens,
    )


def usd(price: Price, usage: Usage | None) -> Decimal:
    cost = price.cost(usage).usd
    assert cost is not None
    return cost


@given(prices(), usages(), usages())
def test_cost_is_additive_in_tokens(price: Price, a: Usage, b: Usage) -> None:
    assert usd(price, both(a, b)) == usd(price, a) + usd(price, b)


@given(prices(), usages())
def test_cost_is_never_negative(price: Price, usage: Usage) -> None:
    assert usd(price, usage) >= 0


def test_prices_are_for_a_million_tokens() -> None:
    assert usd(Price("2.50", 10), Usage(1_000_000, 100_000)) == Decimal("3.50")


def test_floats_cost_what_they_say() -> None:
    assert Price(0.1, 0.2).input == Decimal("0.1")


def test_cached_tokens_cost_the_input_price_unless_they_have_their_own() -> None:
    usage = Usage(1_000_000, 0, cached_tokens=400_000, cache_write_tokens=100_000)
    assert usd(Price(10, 0), usage) == 10
    assert usd(Price(10, 0, cached_input=1, cache_write=20), usage) == Decimal("5") + Decimal("0.4") + 2


def test_a_request_may_cost_something_by_itself() -> None:
    assert usd(Price(0, 0, request="0.005"), Usage(10, 10)) == Decimal("0.005")
    assert not Price(0, 0, request="0.005").is_free


@pytest.mark.parametrize("usage", [None, Usage(), Usage(10), Usage(output_tokens=10)])
def test_without_counts_the_cost_is_unknown(usage: Usage | None) -> None:
    assert Price(1, 1).cost(usage).usd is None


def test_what_is_free_is_free_without_counts() -> None:
    assert FREE.cost(None).usd == 0
    assert FREE.cost(None).source == "local"


@pytest.mark.parametrize("value", [-1, "-0.01", "cheap", float("nan"), float("inf")])
def test_a_price_that_is_none_names_itself(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"price output=.* USD per million tokens"):
        Price(1, value)
