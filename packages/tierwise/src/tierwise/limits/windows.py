"""Calendar windows: which one a moment lies in, and when that ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from tierwise.errors import ConfigError

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["KEEP", "Window", "window", "zone"]

Window: TypeAlias = Literal["hour", "day", "week", "month"]

_DAY = 86_400.0
KEEP: dict[str, float] = {"hour": _DAY, "day": 3 * _DAY, "week": 10 * _DAY, "month": 40 * _DAY}
"""Seconds after its last use for which a window's account is kept: longer than the window."""


def zone(name: str) -> tzinfo:
    """The timezone of that name.

    Raises:
        ConfigError: There is none.
    """
    from datetime import UTC
    from zoneinfo import ZoneInfo

    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise ConfigError(
            f"timezone={name!r} is not known here: use a name like 'Europe/Berlin' (on Windows, install tzdata)",
            setting="timezone",
            value=name,
        ) from error


def window(at: float, kind: Window, of: tzinfo) -> tuple[str, float]:
    """The name of the window that a moment lies in, and its end.

    Args:
        at: Seconds since 1970.
        kind: How long it is. Weeks are those of ISO 8601, which begin on Monday.
        of: The timezone, whose midnight ends a day.
    """
    from datetime import datetime, timedelta

    then = datetime.fromtimestamp(at, of)
    midnight = then.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    match kind:
        case "hour":
            # An hour that a change of the clock repeats is two: the offset is part of its name.
            return then.strftime("%Y-%m-%dT%H%z"), at + 3600 - then.minute * 60 - then.second - then.microsecond / 1e6
        case "day":
            return then.strftime("%Y-%m-%d"), (midnight + timedelta(days=1)).timestamp()
        case "week":
            return then.strftime("%G-W%V"), (midnight + timedelta(days=7 - then.weekday())).timestamp()
        case "month":
            first = midnight.replace(day=1)
            return then.strftime("%Y-%m"), (first + timedelta(days=32)).replace(day=1).timestamp()
