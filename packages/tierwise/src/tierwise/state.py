"""What changes over time: the tier that a session keeps, and how fast each model has been."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

__all__ = ["MemoryState", "State"]

_WEIGHT = 0.2
"""The weight of the newest latency in the moving average."""


class State(Protocol):
    """What policies may read and the driver writes. Reads are cheap: `decide` makes them on every step."""

    def session_tier(self, session: str) -> tuple[str, int] | None:
        """The tier that the session was last answered by, and the prompt tokens cached there."""
        ...

    def session_idle(self, session: str) -> float | None:
        """Seconds since the session was last answered; `None` if it never was."""
        ...

    def keep_session(self, session: str, tier: str, prompt_tokens: int) -> None:
        """Remembers the tier that answered.

        Args:
            session: The session's name.
            tier: The tier's name.
            prompt_tokens: The length of the prompt, in tokens, which a provider may hold in its cache now.
        """
        ...

    def latency(self, model: str) -> float | None:
        """The moving average of the model's latency in seconds; `None` if it was never called."""
        ...

    def observe_latency(self, model: str, seconds: float) -> None:
        """Adds a measured latency."""
        ...


class MemoryState:
    """State of one process, bounded: the sessions that were not used for longest are forgotten first.

    Args:
        max_sessions: How many sessions are remembered.
        clock: Gives monotonic seconds.
    """

    def __init__(self, max_sessions: int = 10_000, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_sessions = max_sessions
        self._clock = clock
        self._sessions: OrderedDict[str, tuple[str, int, float]] = OrderedDict()
        self._latencies: dict[str, float] = {}
        self._lock = threading.Lock()

    def session_tier(self, session: str) -> tuple[str, int] | None:
        """See `State`."""
        kept = self._sessions.get(session)
        return None if kept is None else kept[:2]

    def session_idle(self, session: str) -> float | None:
        """See `State`."""
        kept = self._sessions.get(session)
        return None if kept is None else self._clock() - kept[2]

    def keep_session(self, session: str, tier: str, prompt_tokens: int) -> None:
        """See `State`."""
        with self._lock:
            self._sessions[session] = (tier, prompt_tokens, self._clock())
            self._sessions.move_to_end(session)
            if len(self._sessions) > self._max_sessions:
                self._sessions.popitem(last=False)

    def latency(self, model: str) -> float | None:
        """See `State`."""
        return self._latencies.get(model)

    def observe_latency(self, model: str, seconds: float) -> None:
        """See `State`."""
        with self._lock:
            old = self._latencies.get(model)
            self._latencies[model] = seconds if old is None else old + _WEIGHT * (seconds - old)
