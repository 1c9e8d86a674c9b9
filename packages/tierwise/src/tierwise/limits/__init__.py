"""May this call go now? `Limit` reserves before a call and settles after it."""

from tierwise.limits.base import Limit, Reservation

__all__ = ["Limit", "Reservation"]
