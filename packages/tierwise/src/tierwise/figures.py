"""Figures that a user sets, checked before they count for anything."""

from __future__ import annotations

import math
from typing import Any

from tierwise.errors import ConfigError

__all__ = ["check_figure"]


def check_figure(
    setting: str, value: Any, *, zero: bool = False, whole: bool = False, none: bool = False, owner: str = ""
) -> None:
    """Checks a figure: a finite number above zero.

    Args:
        setting: Its name.
        value: What it was set to.
        zero: Whether it may be zero.
        whole: Whether it must be a whole number.
        none: Whether it may be `None`.
        owner: What the setting belongs to, where that is not plain.

    Raises:
        ConfigError: It is something else: another number, a text, `True`.
    """
    if (none and value is None) or _is_sound(value, zero, whole):
        return
    least = "zero or more" if zero else "above zero"
    kind = "a whole number" if whole else "finite"
    other = ", or None" if none else ""
    named = f"{owner}: {setting}" if owner else setting
    raise ConfigError(f"{named}={value!r} must be {least}, and {kind}{other}", setting=setting, value=value)


def _is_sound(value: Any, zero: bool, whole: bool) -> bool:
    try:
        finite = not isinstance(value, bool) and math.isfinite(value)
    except (TypeError, OverflowError):  # no number, or one beyond all use
        return False
    return finite and (value > 0 or (zero and value == 0)) and not (whole and value % 1)
