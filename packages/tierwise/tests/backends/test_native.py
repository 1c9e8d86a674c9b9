"""Which model object of a framework stands for which model of the fleet."""

import pytest
from tierwise import Fleet, ModelSpec, Tier
from tierwise.backends import native_models
from tierwise.errors import ConfigError, UnknownNameError

FLEET = Fleet(
    [
        Tier("small", ["ollama:tiny"]),
        Tier("large", [ModelSpec("openai:big", alias="big"), ModelSpec("openai:big", alias="big-thinking")]),
    ]
)


def make(spec: ModelSpec) -> str:
    return f"made {spec.key}"


def test_models_are_named_by_alias_by_id_or_by_a_tier_of_one() -> None:
    assert native_models(FLEET, {"small": "S", "big": "B", "big-thinking": "T"}, make) == {
        "ollama:tiny": "S",
        "big": "B",
        "big-thinking": "T",
    }


def test_an_id_stands_for_all_its_aliases() -> None:
    assert native_models(FLEET, {"openai:big": "B"}, make)["big-thinking"] == "B"


def test_what_is_not_given_is_made() -> None:
    assert native_models(FLEET, {"openai:big": "B"}, make)["ollama:tiny"] == "made ollama:tiny"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ollama:tiny'"):
        native_models(FLEET, {"ollama:tinny": "S"}, make)


def test_a_tier_of_several_models_has_no_one_object() -> None:
    with pytest.raises(ConfigError, match="name them apart: 'big', 'big-thinking'"):
        native_models(FLEET, {"large": "B"}, make)
