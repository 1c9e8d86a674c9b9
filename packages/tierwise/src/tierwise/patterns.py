"""Regular expressions that a user gives."""

from __future__ import annotations

import re

from tierwise.errors import ConfigError

__all__ = ["compiled"]


def compiled(pattern: str | None) -> re.Pattern[str] | None:
    """The pattern, ready to be searched for; `None` for none.

    Raises:
        ConfigError: It is no regular expression.
    """
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"pattern {pattern!r} is no regular expression: {error}", setting="pattern", value=pattern
        ) from error
