"""Frozen values, made and changed."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import KW_ONLY, FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest
from tierwise.values import drafted, evolve, quick


@dataclass(frozen=True, slots=True)
class Slotted:
    first: int
    second: str = "b"


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    first: int
    second: str = "b"
    _: KW_ONLY
    needed: int
    third: list[int] = field(default_factory=list[int])
    kind: float = field(default=1.0, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError("first is below zero")


@dataclass(frozen=True, slots=True)
class More(Quick):
    fifth: int = 5


class Loose(Quick):
    """One without slots of its own."""


@dataclass(frozen=True, slots=True, init=False)
class Own:
    first: int
    second: int

    def __init__(self, both: int) -> None:
        kind, draft = type(self), drafted(self)
        draft.first = both
        draft.second = both
        draft.__class__ = kind


def test_some_fields_change_and_the_value_does_not() -> None:
    value = Slotted(1)
    assert evolve(value, second="c") == Slotted(1, "c")
    assert evolve(value) == value
    assert value == Slotted(1, "b")


def test_what_changed_is_as_frozen_as_what_it_was_made_of() -> None:
    made = evolve(Slotted(1), second="c")
    assert type(made) is Slotted
    with pytest.raises(FrozenInstanceError):
        made.second = "d"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AttributeError, match="'Slotted' object has no attribute 'third'"):
        evolve(Slotted(1), third=3)


@pytest.mark.parametrize("value", [Quick(1, needed=2), More(1, needed=2), Loose(1, needed=2), Own(1)])
def test_what_is_made_quickly_is_frozen(value: Any) -> None:
    assert type(value).__mro__[0] in (Quick, More, Loose, Own)
    with pytest.raises(FrozenInstanceError):
        value.first = 3
    with pytest.raises(FrozenInstanceError):
        del value.first


def test_fields_are_as_given_or_as_their_defaults() -> None:
    first, second = Quick(1, needed=2), Quick(1, "c", needed=2, third=[3], kind=4.0)
    assert (first.second, first.needed, first.third, first.kind) == ("b", 2, [], 1.0)
    assert (second.second, second.third, second.kind) == ("c", [3], 4.0)
    assert first.third is not Quick(1, needed=2).third


def test_the_signature_is_the_class_s_own() -> None:
    assert list(inspect.signature(Quick).parameters) == ["first", "second", "needed", "third", "kind"]
    assert Quick.__match_args__ == ("first", "second")


@pytest.mark.parametrize(("places", "names"), [((1,), {}), ((1, "b", 2), {}), ((1,), {"needed": 2, "fifth": 3})])
def test_what_its_own_init_refuses_is_refused(places: tuple[Any, ...], names: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"Quick\.__init__\(\)"):
        Quick(*places, **names)


def test_what_checks_a_value_sees_it_whole_and_frozen() -> None:
    with pytest.raises(ValueError, match="first is below zero"):
        Quick(-1, needed=2)


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIES: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, pickled, replace, evolve]


@pytest.mark.parametrize("again", COPIES)
@pytest.mark.parametrize("value", [Quick(1, needed=2, third=[3]), More(1, needed=2, fifth=6)])
def test_a_copy_is_equal_and_of_the_same_class(value: Any, again: Callable[[Any], Any]) -> None:
    made = again(value)
    assert made == value
    assert repr(made) == repr(value)
    assert type(made) is type(value)


def test_a_class_below_has_its_own_fields_too() -> None:
    made = evolve(More(1, needed=2), fifth=7, first=3)
    assert made == More(3, needed=2, fifth=7)
    assert Loose(1, needed=2) != Quick(1, needed=2)
