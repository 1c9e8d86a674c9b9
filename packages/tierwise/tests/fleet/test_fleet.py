"""A fleet: a ladder, specialists beside it, and a baseline."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.fleet import FREE, Fleet, ModelSpec, Tier

FLEET = Fleet(
    [
        Tier("small", ["ollama:qwen3:4b", "ollama:llama3.2:3b"]),
        Tier("medium", "ollama:qwen3:32b"),
        Tier("large", "a:b"),
    ],
    specialists={"code": ["ollama:qwen3-coder:30b"]},
)


def test_a_tier_takes_one_model_or_several() -> None:
    assert [m.id for m in Tier("t", "a:b").models] == ["a:b"]
    assert [m.id for m in Tier("t", ModelSpec("a:b")).models] == ["a:b"]
    assert [m.id for m in Tier("t", ["a:b", ModelSpec("a:c")]).models] == ["a:b", "a:c"]


def test_a_tier_without_models_or_with_one_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="tier 'small' needs at least one model"):
        Tier("small", [])
    with pytest.raises(ConfigError, match="lists 'a:b' twice: give one an alias"):
        Tier("small", ["a:b", "a:b"])
    assert len(Tier("small", ["a:b", ModelSpec("a:b", alias="warm", temperature=1)]).models) == 2


def test_two_tiers_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two tiers are named 'code'"):
        Fleet([Tier("code", "a:b")], specialists=[Tier("code", "a:c")])
    with pytest.raises(ConfigError, match="at least one tier"):
        Fleet([])


def test_the_baseline_is_the_first_model_of_the_top_tier_unless_named() -> None:
    assert FLEET.baseline.id == "a:b"
    assert Fleet(FLEET.ladder, baseline="ollama:qwen3:32b").baseline.id == "ollama:qwen3:32b"
    assert Fleet(FLEET.ladder, baseline=ModelSpec("cloud:big")).baseline.id == "cloud:big"
    with pytest.raises(UnknownNameError, match=r"baseline: unknown model .* did you mean 'ollama:qwen3:32b'"):
        Fleet(FLEET.ladder, baseline="ollama:qwen3:32")


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="policy: unknown tier 'smal'; did you mean 'small'"):
        FLEET.tier("smal", where="policy")
    with pytest.raises(UnknownNameError, match=r"did you mean 'ollama:llama3\.2:3b'"):
        FLEET.find("ollama:llama3.2:b")


def test_specialists_rank_above_the_ladder() -> None:
    assert [FLEET.rank(n) for n in FLEET.names] == [0, 1, 2, 3]
    assert FLEET.names == ("small", "medium", "large", "code")


def test_map_changes_every_model_and_the_baseline() -> None:
    free = FLEET.map(lambda m: replace(m, price=FREE))
    assert all(m.price is FREE for m in (*free.models, free.baseline))
    assert free.names == FLEET.names
    assert all(m.price is None for m in FLEET.models)
