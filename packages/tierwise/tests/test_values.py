"""Frozen values, changed."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from tierwise.values import evolve


@dataclass(frozen=True, slots=True)
class Slotted:
    first: int
    second: str = "b"


@dataclass(frozen=True)
class Plain:
    first: int
    second: str = "b"


@pytest.mark.parametrize("kind", [Slotted, Plain])
def test_some_fields_change_and_the_value_does_not(kind: type[Slotted | Plain]) -> None:
    value = kind(1)
    assert evolve(value, second="c") == kind(1, "c")
    assert evolve(value) == value
    assert value == kind(1, "b")


@pytest.mark.parametrize("kind", [Slotted, Plain])
def test_a_field_that_does_not_exist_is_refused(kind: type[Slotted | Plain]) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} has no field 'third'"):
        evolve(kind(1), third=3)
