"""Prices from the catalogue: the catalogue itself is the oracle."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st
from tierwise.fleet import Usage
from tierwise.fleet.genai import GenaiCatalogue

CATALOGUE = GenaiCatalogue()
THOUSAND = Usage(1000, 1000)

LISTED = [
    ("anthropic", "anthropic", "claude-opus-4-7"),
    ("openai", "openai", "gpt-4o"),
    ("gemini", "google", "gemini-2.5-pro"),
    ("xai", "x-ai", "grok-4.3"),
    ("mistral", "mistral", "mistral-small-latest"),
    ("bedrock", "aws", "us.anthropic.claude-3-5-sonnet-20240620-v1:0"),
    ("perplexity", "perplexity", "sonar-deep-research"),
]


def listed_cost(provider: str, model: str, **counts: int) -> Decimal:
    return genai_prices.calc_price(genai_prices.Usage(**counts), model, provider_id=provider).total_price


@pytest.mark.parametrize(("prefix", "provider", "model"), LISTED)
def test_costs_what_the_catalogue_says(prefix: str, provider: str, model: str) -> None:
    cost = CATALOGUE.cost(prefix, model, Usage(12_345, 678))
    assert cost.usd == listed_cost(provider, model, input_tokens=12_345, output_tokens=678)
    assert cost.source == "catalogue"


def test_long_prompts_cost_what_the_catalogue_says() -> None:
    cost = CATALOGUE.cost("gemini", "gemini-2.5-pro", Usage(300_000, 10))
    assert cost.usd == listed_cost("google", "gemini-2.5-pro", input_tokens=300_000, output_tokens=10)
    per_token = CATALOGUE.cost("gemini", "gemini-2.5-pro", Usage(1000, 0)).usd
    assert cost.usd is not None
    assert per_token is not None
    assert cost.usd > per_token * 300


def test_cached_and_written_tokens_have_their_own_price() -> None:
    usage = Usage(1000, 500, cached_tokens=400, cache_write_tokens=100)
    cost = CATALOGUE.cost("anthropic", "claude-opus-4-7", usage)
    counts = {"input_tokens": 1000, "output_tokens": 500, "cache_read_tokens": 400, "cache_write_tokens": 100}
    assert cost.usd == listed_cost("anthropic", "claude-opus-4-7", **counts)
    price = CATALOGUE.price("anthropic", "claude-opus-4-7")
    assert price is not None
    assert price.cost(usage).usd == cost.usd
    assert price.cached_input < price.input < price.cache_write


def test_reasoning_tokens_are_part_of_the_output_unless_priced_on_their_own() -> None:
    for prefix, model in [("openai", "o3"), ("perplexity", "sonar-deep-research")]:
        cost = CATALOGUE.cost(prefix, model, Usage(100, 900, reasoning_tokens=800))
        counts = {"input_tokens": 100, "output_tokens": 900, "output_reasoning_tokens": 800}
        assert cost.usd == listed_cost(prefix, model, **counts)
    plain = CATALOGUE.cost("openai", "o3", Usage(100, 900))
    assert plain.usd == CATALOGUE.cost("openai", "o3", Usage(100, 900, reasoning_tokens=800)).usd


def test_two_releases_of_one_family_keep_their_own_prices() -> None:
    old = CATALOGUE.cost("openai", "gpt-4o-2024-05-13", THOUSAND)
    new = CATALOGUE.cost("openai", "gpt-4o-2024-08-06", THOUSAND)
    assert old.usd == listed_cost("openai", "gpt-4o-2024-05-13", input_tokens=1000, output_tokens=1000)
    assert new.usd == listed_cost("openai", "gpt-4o-2024-08-06", input_tokens=1000, output_tokens=1000)
    assert old.usd != new.usd


@pytest.mark.parametrize(
    ("prefix", "model"),
    [
        ("openai", "gpt-4o-2029-08-06"),
        ("openai", "gpt-4o-superbig"),
        ("anthropic", "claude-opus-4-70"),
        ("anthropic", "claude-opus-4-7-turbo"),
        ("gemini", "gemini-1.5-flash-8b"),
        ("my-openai-proxy", "gpt-4o"),
        ("ollama", "gpt-4o"),
        ("ollama", "qwen3:4b"),
        ("nobody", "nothing"),
    ],
)
def test_a_model_that_is_not_listed_is_unknown_and_never_zero(prefix: str, model: str) -> None:
    assert CATALOGUE.cost(prefix, model, THOUSAND).usd is None
    assert CATALOGUE.price(prefix, model) is None
    assert CATALOGUE.window(prefix, model) is None


@pytest.mark.parametrize(
    ("prefix", "model", "same_as"),
    [
        ("anthropic", "claude-opus-4-7-20260401", "claude-opus-4-7"),
        ("anthropic", "claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("openai", "gpt-5-nano-2025-08-07", "gpt-5-nano"),
        ("openai", "gpt-4o-20240513", "gpt-4o-2024-05-13"),
        ("gemini", "gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
    ],
)
def test_a_release_of_a_listed_model_is_that_model(prefix: str, model: str, same_as: str) -> None:
    assert CATALOGUE.cost(prefix, model, THOUSAND) == CATALOGUE.cost(prefix, same_as, THOUSAND)


def test_a_model_that_is_not_priced_by_tokens_is_unknown() -> None:
    assert CATALOGUE.cost("openai", "whisper-1", THOUSAND).usd is None
    assert CATALOGUE.price("openai", "whisper-1") is None


def test_counts_that_contradict_each_other_are_unknown() -> None:
    assert CATALOGUE.cost("openai", "o3", Usage(1000, 10, cached_tokens=2000)).usd is None


def test_every_name_that_the_catalogue_lists_is_priced_as_it_says() -> None:
    counts = {"input_tokens": 1000, "output_tokens": 1000}
    priced = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            try:
                listed = listed_cost(provider.id, model.id, **counts)
            except LookupError:
                continue
            cost = CATALOGUE.cost(provider.id, model.id, THOUSAND).usd
            assert cost in (listed, None), model.id
            assert cost is not None or not listed or CATALOGUE.price(provider.id, model.id) is None, model.id
            priced += cost is not None
    assert priced > 1000


def test_tells_the_context_window() -> None:
    assert CATALOGUE.window("anthropic", "claude-haiku-4-5") == 200_000


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_never_negative(inputs: int, outputs: int) -> None:
    usd = CATALOGUE.cost("openai", "gpt-4o", Usage(inputs, outputs)).usd
    assert usd is not None
    assert usd >= 0


def test_without_the_package_every_price_is_unknown() -> None:
    code = """
import sys
sys.modules["genai_prices"] = None
from tierwise.fleet.pricing import installed_catalogue
assert installed_catalogue() is None
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_router_loads_the_catalogue_only_when_a_call_is_priced() -> None:
    code = """
import sys
from tierwise import Router
router = Router.simple(small="a:x", large="openai:gpt-4o", backends={"*": lambda attempt: "four"})
router.decide("2 + 2?")
assert "genai_prices" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.sampled_from(LISTED), st.integers(0, 2_000_000), st.integers(0, 200_000), st.integers(0, 3))
def test_the_quick_way_gives_what_the_catalogue_gives(
    listed: tuple[str, str, str], inputs: int, outputs: int, quarter: int
) -> None:
    prefix, provider, model = listed
    cached = inputs * quarter // 4
    cost = CATALOGUE.cost(prefix, model, Usage(inputs, outputs, cached_tokens=cached)).usd
    if cost is not None:
        assert cost == listed_cost(
            provider, model, input_tokens=inputs, output_tokens=outputs, cache_read_tokens=cached
        )
