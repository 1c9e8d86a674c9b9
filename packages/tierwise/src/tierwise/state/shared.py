"""What a state outside this process has in common: policies are answered from what was last heard of it."""

from __future__ import annotations

import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tierwise.errors import StateError
from tierwise.figures import check_figure
from tierwise.state.base import State
from tierwise.state.claims import Observed

__all__ = ["KEPT_SECONDS", "WEIGHT", "Averages", "Session", "SharedState", "storable"]

V = TypeVar("V")

WEIGHT = 0.2
"""The weight of the newest figure in a moving average."""

KEPT_SECONDS = 7 * 86_400.0
"""Seconds after its last use for which a session, or how a model has done, is kept."""

_MOST = 10_000
"""The most answers that are kept of each kind."""

_QUIET = 60.0
"""Seconds without a loss after which the next one is logged."""

_log = logging.getLogger("tierwise.state")


@dataclass(frozen=True, slots=True)
class Session:
    """What is remembered of a session."""

    tier: str
    prompt_tokens: int
    idle: float
    """Seconds since it was answered, at the time of asking."""


@dataclass(frozen=True, slots=True)
class Averages:
    """How a model has done."""

    latency: float | None = None
    error_rate: float | None = None
    """As it was at the time of asking."""


class SharedState(State):
    """A state outside this process: a store answers what policies ask, and its answers are good for a while.

    What policies ask, and what they would have remembered, is an aid and no limit. So these methods wait only briefly
    for the store, and raise nothing if it is lost: they answer from what was last heard, and say so in the log. The
    same holds for the settlement of a call that has no claims.

    Args:
        fresh: Seconds for which an answer is good.
        brief: Seconds that a question may wait for the store. An event loop may stand still meanwhile.
    """

    def __init__(self, *, fresh: float, brief: float) -> None:
        check_figure("fresh", fresh, zero=True)
        check_figure("brief", brief, zero=True)
        watch = _Outage(max(fresh, brief))
        self._brief = brief
        self._sessions: _Answers[Session | None] = _Answers(self._ask_session, fresh, watch)
        self._models: _Answers[Averages] = _Answers(self._ask_model, fresh, watch)
        self._circuits: _Answers[float | None] = _Answers(self._ask_circuit, fresh, watch)
        self._outage = watch

    @abstractmethod
    def _ask_session(self, session: str) -> Session | None:
        """Asks the store, briefly."""

    @abstractmethod
    def _tell_session(self, session: str, tier: str, prompt_tokens: int) -> None:
        """Tells the store, briefly."""

    @abstractmethod
    def _ask_model(self, model: str) -> Averages:
        """Asks the store, briefly."""

    @abstractmethod
    def _ask_circuit(self, circuit: str) -> float | None:
        """Asks the store, briefly."""

    @abstractmethod
    def _tell_observed(self, observed: Observed) -> Averages:
        """Tells the store, briefly."""

    def session_tier(self, session: str) -> tuple[str, int] | None:
        """See `State`. Raises nothing."""
        kept, _ = self._sessions.get(session) or (None, 0.0)
        return None if kept is None else (kept.tier, kept.prompt_tokens)

    def session_idle(self, session: str) -> float | None:
        """See `State`. Raises nothing."""
        kept, heard = self._sessions.get(session) or (None, 0.0)
        return None if kept is None else kept.idle + time.monotonic() - heard

    def keep_session(self, session: str, tier: str, prompt_tokens: int) -> None:
        """See `State`. Raises nothing."""
        self._sessions.put(session, Session(tier, prompt_tokens, 0.0))
        if not self._outage.lasts:
            with self._outage:
                self._tell_session(session, tier, prompt_tokens)

    def latency(self, model: str) -> float | None:
        """See `State`. Raises nothing."""
        kept = self._models.get(model)
        return None if kept is None else kept[0].latency

    def error_rate(self, model: str) -> float | None:
        """See `State`. Raises nothing."""
        kept = self._models.get(model)
        return None if kept is None else kept[0].error_rate

    def open_for(self, circuit: str) -> float | None:
        """See `State`. Raises nothing."""
        seconds, heard = self._circuits.get(circuit) or (None, 0.0)
        left = None if seconds is None else seconds - (time.monotonic() - heard)
        return left if left is not None and left > 0 else None

    def observe(self, observed: Observed) -> None:
        """See `State`. Raises nothing."""
        if not self._outage.lasts:
            with self._outage:
                self._models.put(observed.model, self._tell_observed(observed))


def storable(text: str) -> str:
    """The text in a form that stores take: they know no lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class _Outage:
    """Lets a lost store be: it is logged once, and what nobody must know is asked again only after a while.

    A store that is merely busy comes and goes: that is logged once in a while too.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._lost = False
        self._until = 0.0
        self._quiet_until = 0.0

    @property
    def lasts(self) -> bool:
        return self._lost and time.monotonic() < self._until

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if error is None:
            self._lost = False
            return False
        if not isinstance(error, StateError):
            return False
        now = time.monotonic()
        if not self._lost and now >= self._quiet_until:
            _log.warning("%s; policies go by what was last heard", error)
        self._lost, self._until, self._quiet_until = True, now + self._pause, now + _QUIET
        return True


class _Answers(Generic[V]):
    """What a store answered, and when; the oldest are forgotten first."""

    def __init__(self, ask: Callable[[str], V], fresh: float, outage: _Outage) -> None:
        self._ask = ask
        self._fresh = fresh
        self._outage = outage
        self._kept: dict[str, tuple[V, float]] = {}
        self._lock = threading.RLock()
        """Reentrant, as that of `MemoryState` is."""

    def get(self, key: str) -> tuple[V, float] | None:
        """The store's answer and when it came, in monotonic seconds; `None` if it never gave one."""
        kept = self._kept.get(key)
        if (kept is not None and time.monotonic() < kept[1] + self._fresh) or self._outage.lasts:
            return kept
        with self._outage:
            return self.put(key, self._ask(key))
        return kept

    def put(self, key: str, value: V) -> tuple[V, float]:
        """Keeps an answer."""
        kept = value, time.monotonic()
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = kept
            if len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]
        return kept
