"""Frozen values, changed."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import pytest
from tierwise.values import evolve


@dataclass(frozen=True, slots=True)
class Slotted:
    first: int
    second: str = "b"


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
