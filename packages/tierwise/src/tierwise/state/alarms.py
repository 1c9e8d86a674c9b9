"""Waking who waits for its turn in this process, be it a thread or a task."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Alarms"]

_LONGEST = 1.0
"""Seconds after which who waits looks for itself: what is freed by the end of a lease rings for nobody."""


@dataclass(slots=True)
class _Alarm:
    until_freed: bool
    ring: Callable[[], object] | None = None
    """Wakes who waits; `None` while it does not sleep."""
    due: bool = False
    """It is to wake, and does not sleep yet."""


class Alarms:
    """One for each call that has a place in a line.

    It is set when the call is denied, before the call can go to sleep, so that none is woken in vain in between.
    """

    def __init__(self) -> None:
        self.waiting: dict[str, _Alarm] = {}
        """By the call."""
        self._lock = threading.RLock()
        """Reentrant, as that of `MemoryState` is."""

    def set(self, call_id: str, *, until_freed: bool) -> None:
        """The call was denied.

        Args:
            call_id: The call.
            until_freed: Whether it waits for the end of another, and not for a time that is known.
        """
        with self._lock:
            self.waiting[call_id] = _Alarm(until_freed)

    def drop(self, call_id: str) -> None:
        """The call goes, or has given up."""
        with self._lock:
            self.waiting.pop(call_id, None)

    def ring(self, calls: Iterable[str]) -> None:
        """It is the turn of these."""
        with self._lock:
            for call_id in calls:
                alarm = self.waiting.get(call_id)
                if alarm is None:
                    continue
                alarm.due = True
                if alarm.ring is not None:
                    with suppress(RuntimeError):  # its event loop is closed, and nobody waits there any more
                        alarm.ring()

    def arm(self, call_id: str, ring: Callable[[], object]) -> bool:
        """Before the call goes to sleep; false if it is not to sleep at all, because it is due."""
        with self._lock:
            alarm = self.waiting.get(call_id)
            if alarm is None:
                return True
            alarm.ring = ring
            return not alarm.due

    def patience(self, call_id: str, seconds: float, most: float) -> float:
        """Seconds to sleep, unless it is woken, for a call that was to sleep so long."""
        alarm = self.waiting.get(call_id)
        return min(most, _LONGEST if alarm is not None and alarm.until_freed else seconds)

    def disarm(self, call_id: str) -> None:
        """After it has slept."""
        with self._lock:
            alarm = self.waiting.get(call_id)
            if alarm is not None:
                alarm.ring = None
                alarm.due = False
