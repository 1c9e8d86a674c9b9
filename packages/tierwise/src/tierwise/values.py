"""Frozen values, changed: the quick form of `dataclasses.replace` for those that a run makes on every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeVar

__all__ = ["evolve"]

T = TypeVar("T")

_put = object.__setattr__


def evolve(value: T, **changes: Any) -> T:
    """The same value with some fields changed.

    Quicker than `dataclasses.replace`, because it copies the fields and does not run `__init__`: so it is for values
    that check nothing when they are made.

    Args:
        value: A frozen dataclass of two fields or more.
        **changes: Fields and their new values.
    """
    names, read = _layout(type(value))
    made = object.__new__(type(value))
    for name, old in zip(names, read(value), strict=True):
        _put(made, name, changes.pop(name) if name in changes else old)
    if changes:
        raise TypeError(f"{type(value).__name__} has no field {next(iter(changes))!r}")
    return made


@lru_cache(maxsize=64)
def _layout(kind: Any) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    names = tuple(field.name for field in fields(kind))
    return names, attrgetter(*names)
