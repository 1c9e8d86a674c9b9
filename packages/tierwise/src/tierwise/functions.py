"""Plain functions in place of our classes: how many values may be handed to one?"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tierwise.errors import ConfigError

__all__ = ["needs_two", "plain_function"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def needs_two(function: Callable[..., Any]) -> bool:
    """True if the function has two positional parameters without a default; one with a default is a setting of its own.

    A built-in that hides its parameters is given one value.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return False
    return sum(p.kind in _POSITIONAL and p.default is p.empty for p in parameters) > 1


def plain_function(kind: str, function: Callable[..., Any]) -> str:
    """The function's name, once it is certain that it can be called where nothing is awaited.

    Raises:
        ConfigError: The function is async.
    """
    name = getattr(function, "__name__", repr(function))
    if inspect.iscoroutinefunction(function):
        raise ConfigError(f"{name} is async; a {kind} is a plain function", setting=kind, value=function)
    return name
