"""Frozen values, made and changed: what `dataclasses` does, in less time, for those that a run makes on every call.

A frozen dataclass writes each of its fields past its own guard, and that is most of what it takes to make one. Here an
object is filled in while it is a draft, which has no guard, and becomes the frozen value when all is in. Python gives
an object another class if both have the same slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from functools import lru_cache, wraps
from typing import Any, TypeVar

__all__ = ["drafted", "evolve", "quick"]

T = TypeVar("T")


def quick(kind: type[T]) -> type[T]:
    """Gives a class an `__init__` that does what its own does in a third of the time.

    Args:
        kind: A frozen dataclass with slots. Each of its fields is an argument of its `__init__`, and no field's name
            begins with an underscore. It gains from three fields up.
    """
    cls: Any = kind
    known: dict[str, Any] = {
        "_own": cls,
        "_own_draft": _draft(cls),
        "_draft": _draft,
        "_put": object.__setattr__,
        "_absent": MISSING,
    }
    places, names = ["self"], ["*"]
    lines = ["_kind = type(self)", "_put(self, '__class__', _own_draft if _kind is _own else _draft(_kind))"]
    for field in fields(cls):
        name, make = field.name, field.default_factory
        known |= {f"_default_{name}": field.default, f"_make_{name}": make}
        made = make is not MISSING
        optional = made or field.default is not MISSING
        (names if field.kw_only else places).append(f"{name}=_default_{name}" if optional else name)
        lines.append(f"self.{name} = " + (f"_make_{name}() if {name} is _absent else " if made else "") + name)
    lines.append("self.__class__ = _kind")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    parameters = ", ".join(places + names if len(names) > 1 else places)
    cls.__init__ = wraps(cls.__init__)(_function("__init__", parameters, lines, known))
    return kind


def evolve(value: T, **changes: Any) -> T:
    """The same value with some fields changed.

    Quicker than `dataclasses.replace`, because it copies the fields and does not run `__init__`: so it is for values
    that check nothing when they are made.

    Args:
        value: A frozen dataclass with slots.
        **changes: Fields and their new values.

    Raises:
        AttributeError: There is no such field.
    """
    kind = type(value)
    made = _copier(kind)(value)
    for name, new in changes.items():
        setattr(made, name, new)
    made.__class__ = kind
    return made


def drafted(value: object) -> Any:
    """Makes a draft of a value that its `__init__` fills in; to give it its class back freezes it."""
    object.__setattr__(value, "__class__", _draft(type(value)))
    return value


@lru_cache(maxsize=64)
def _draft(kind: type) -> Any:
    """The class of a value's drafts: the same, but for the guard."""
    unguarded = {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(kind.__name__, (kind,), unguarded)


@lru_cache(maxsize=64)
def _copier(kind: Any) -> Callable[[Any], Any]:
    """What makes a draft with the same fields."""
    lines = ["made = new(draft)", *(f"made.{f.name} = value.{f.name}" for f in fields(kind)), "return made"]
    return _function("copied", "value", lines, {"new": object.__new__, "draft": _draft(kind)})


def _function(name: str, parameters: str, lines: Iterable[str], known: dict[str, Any]) -> Any:
    """A function made of its text, as dataclasses make theirs: a slot's name in the code is quicker than `setattr`."""
    exec(f"def {name}({parameters}):\n " + "\n ".join(lines), known)  # noqa: S102 - the text holds fields' names alone
    return known[name]
