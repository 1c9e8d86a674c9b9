"""JSON that a model wrote. It is read more strictly than Python's own reader does, since anything may stand there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, cast

__all__ = ["DEEPEST", "is_too_deep", "read_json"]

DEEPEST = 100
"""Levels of objects and lists within each other. More is no answer, and would exhaust the stack of whoever reads it."""


def read_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: It is no JSON (`NaN` and `Infinity` are none), or is nested too deeply.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    if is_too_deep(value):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return value


def is_too_deep(value: Any) -> bool:
    """True if objects and lists lie within each other more than `DEEPEST` levels."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(cast("Mapping[str, Any]", value).values())
    return cast("list[Any]", value) if isinstance(value, list) else []


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
