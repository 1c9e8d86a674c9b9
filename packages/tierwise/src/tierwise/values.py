"""Frozen values, changed: the quick form of `dataclasses.replace` for those that a run makes on every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, make_dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

__all__ = ["evolve"]

T = TypeVar("T")


def evolve(value: T, **changes: Any) -> T:
    """The same value with some fields changed.

    Quicker than `dataclasses.replace`, because it copies the fields and does not run `__init__`: so it is for values
    that check nothing when they are made.

    Args:
        value: A frozen dataclass with slots, of two fields or more, that inherits none.
        **changes: Fields and their new values.

    Raises:
        AttributeError: There is no such field.
    """
    kind = type(value)
    draft, read = _draft(kind)
    made = draft(*read(value))
    for name, new in changes.items():
        setattr(made, name, new)
    made.__class__ = kind
    return made


@lru_cache(maxsize=64)
def _draft(kind: Any) -> tuple[Callable[..., Any], Callable[[Any], tuple[Any, ...]]]:
    """A class with the same fields that can still be written, and what reads them.

    Python gives an object another class if both have the same slots. To fill in a draft and then to freeze it takes
    half the time of writing into a frozen object, past its guard, field by field.
    """
    names = [field.name for field in fields(kind)]
    return make_dataclass(kind.__name__, names, slots=True), attrgetter(*names)
