"""A model with its settings."""

from __future__ import annotations

from typing import Any

import pytest
from tierwise.errors import ConfigError
from tierwise.fleet import ModelSpec


def test_the_name_is_everything_behind_the_first_colon() -> None:
    model = ModelSpec("ollama:qwen3:4b")
    assert (model.provider, model.name, model.key) == ("ollama", "qwen3:4b", "ollama:qwen3:4b")


@pytest.mark.parametrize("model", ["qwen3", ":qwen3", "ollama:", ""])
def test_an_id_without_provider_or_name_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match=r"must be provider:name, e\.g\. 'ollama:qwen3:4b'"):
        ModelSpec(model)


def test_an_alias_tells_two_settings_of_one_model_apart() -> None:
    low, high = (ModelSpec("openai:o3", alias=e, reasoning_effort=e) for e in ("low", "high"))
    assert low != high
    assert (low.key, high.key) == ("low", "high")


@pytest.mark.parametrize(
    "setting", ["max_output_tokens", "num_ctx", "window", "concurrency", "requests_per_minute", "tokens_per_minute"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, float("nan"), "2"])
def test_a_count_must_be_above_zero(setting: str, value: Any) -> None:
    settings: dict[str, Any] = {setting: value}
    with pytest.raises(ConfigError, match=f"ollama:x: {setting}={value!r} must be above zero, and a whole number"):
        ModelSpec("ollama:x", **settings)


@pytest.mark.parametrize("wrong", [3, (3, 15)])
def test_a_price_is_a_price(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"ollama:x: price=.* must be a Price, .*: Price\(3, 15\)"):
        ModelSpec("ollama:x", price=wrong)


def test_an_unknown_trust_or_capability_is_refused() -> None:
    wrong: Any = "lokal"
    with pytest.raises(ConfigError, match="trust='lokal' must be one of local, approved, any"):
        ModelSpec("ollama:x", trust=wrong)
    with pytest.raises(ConfigError, match="unknown capability 'telepathy'"):
        ModelSpec("ollama:x", capabilities=frozenset(["telepathy"]))  # type: ignore[list-item]


def test_what_is_not_known_is_none() -> None:
    assert ModelSpec("ollama:vision-tools-model").can("vision") is None
    assert ModelSpec("ollama:x", capabilities=frozenset()).can("tools") is False
    assert ModelSpec("ollama:x", capabilities=frozenset({"tools"})).can("tools") is True
    assert ModelSpec("ollama:x-128k").context is None


def test_the_context_is_the_smaller_of_window_and_setting() -> None:
    assert ModelSpec("ollama:x", window=32_768, num_ctx=4096).context == 4096
    assert ModelSpec("ollama:x", window=2048, num_ctx=4096).context == 2048


@pytest.mark.parametrize(
    ("label", "sees"),
    [
        ("local", {"local", "approved", "any"}),
        ("approved", {"approved", "any"}),
        ("any", {"any"}),
        (None, {"any"}),
    ],
)
def test_content_goes_only_where_its_trust_allows(label: Any, sees: set[str]) -> None:
    model = ModelSpec("x:y", trust=label)
    levels: tuple[Any, ...] = ("local", "approved", "any")
    assert {level for level in levels if model.may_see(level)} == sees
