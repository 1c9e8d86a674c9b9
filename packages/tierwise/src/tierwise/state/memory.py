"""State of one process."""

from __future__ import annotations

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from tierwise.state import rules
from tierwise.state.base import State
from tierwise.state.claims import Balance, Claim, Denied, Granted, Observed, Taken
from tierwise.state.records import Account, Held, Record

__all__ = ["MemoryState"]

_WEIGHT = 0.2
"""The weight of the newest figure in a moving average."""

_MOST = 1_000
"""The most records that one operation looks after, so that none takes long."""

R = TypeVar("R", bound=Record)


class MemoryState(State):
    """State of one process, bounded: the sessions that were not used for longest are forgotten first.

    It serves threads and event loops alike: no operation does I/O, and none holds the lock for long.

    Args:
        max_sessions: How many sessions are remembered.
        clock: Gives monotonic seconds.
    """

    def __init__(self, max_sessions: int = 10_000, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_sessions = max_sessions
        self._clock = clock
        self._book = _MemoryBook()
        self._sessions: OrderedDict[str, tuple[str, int, float]] = OrderedDict()
        self._latencies: dict[str, float] = {}
        self._errors: dict[str, float] = {}
        self._lock = threading.Lock()

    def reserve(
        self, call_id: str, claims: Sequence[Claim], *, lease: float, least: int = 0, most: int = 0
    ) -> Granted | Denied:
        """See `State`."""
        with self._lock:
            now = self._clock()
            self._book.forget(now)
            return rules.reserve(self._book, now, call_id, claims, lease=lease, least=least, most=most)

    def settle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """See `State`."""
        with self._lock:
            rules.settle(self._book, self._clock(), call_id, claims, taken)
            if observed is not None:
                self._observe(observed)

    def lift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """See `State`."""
        with self._lock:
            rules.lift(self._book, self._clock(), key, cap, keep)

    def balance(self, key: str) -> Balance:
        """See `State`."""
        with self._lock:
            while rules.sweep(self._book, self._clock()):
                pass
            account = self._book.load(Account, key)
            return Balance() if account is None else Balance(account.spent, account.reserved, account.cap)

    @property
    def held(self) -> int:
        """How many calls have something set aside."""
        with self._lock:
            return sum(not held.lapsed for held in self._book.held.values())

    async def areserve(
        self, call_id: str, claims: Sequence[Claim], *, lease: float, least: int = 0, most: int = 0
    ) -> Granted | Denied:
        """See `State`. The event loop does not turn meanwhile."""
        return self.reserve(call_id, claims, lease=lease, least=least, most=most)

    async def asettle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """See `State`. The event loop does not turn meanwhile."""
        self.settle(call_id, claims, taken, observed)

    async def alift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """See `State`. The event loop does not turn meanwhile."""
        self.lift(key, cap, keep=keep)

    async def abalance(self, key: str) -> Balance:
        """See `State`. The event loop does not turn meanwhile."""
        return self.balance(key)

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

    def error_rate(self, model: str) -> float | None:
        """See `State`."""
        return self._errors.get(model)

    def observe(self, observed: Observed) -> None:
        """See `State`."""
        with self._lock:
            self._observe(observed)

    def _observe(self, observed: Observed) -> None:
        _average(self._errors, observed.model, float(observed.failed))
        if observed.seconds is not None:
            _average(self._latencies, observed.model, observed.seconds)


class _MemoryBook:
    """See `Book`."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], Record] = {}
        self.held: dict[str, Held] = {}
        self._leases: list[tuple[float, str]] = []
        """A heap. It may name calls that were settled since."""
        self._due: list[tuple[float, tuple[str, str]]] = []
        """A heap of when to look whether a record may be forgotten, one entry for each that may be."""
        self._timed: set[tuple[str, str]] = set()

    def load(self, kind: type[R], key: str) -> R | None:
        """See `Book`."""
        found = self.held.get(key) if kind is Held else self._records.get((kind.__name__, key))
        return cast("R | None", found)

    def save(self, key: str, record: Record) -> None:
        """See `Book`."""
        if isinstance(record, Held):
            if self.held.get(key) is not record:
                heapq.heappush(self._leases, (record.expires, key))
            self.held[key] = record
            if not record.lapsed:
                return
        place = (type(record).__name__, key)
        if not isinstance(record, Held):
            self._records[place] = record
        if record.until is not None and place not in self._timed:
            self._timed.add(place)
            heapq.heappush(self._due, (record.until, place))

    def drop(self, kind: type[Record], key: str) -> None:
        """See `Book`."""
        if kind is not Held:
            self._records.pop((kind.__name__, key), None)
            return
        self.held.pop(key, None)
        if len(self._leases) > 2 * len(self.held) + _MOST:
            self._leases = [(held.expires, call_id) for call_id, held in self.held.items() if not held.lapsed]
            heapq.heapify(self._leases)

    def lapsed(self, now: float) -> Sequence[tuple[str, Held]]:
        """See `Book`."""
        if not self._leases or self._leases[0][0] > now:
            return ()
        found: list[tuple[str, Held]] = []
        while self._leases and self._leases[0][0] <= now and len(found) < _MOST:
            _, call_id = heapq.heappop(self._leases)
            held = self.held.get(call_id)
            if held is not None and not held.lapsed:
                found.append((call_id, held))
        return found

    def forget(self, now: float) -> None:
        """Drops records whose time is over."""
        for _ in range(_MOST):
            if not self._due or self._due[0][0] > now:
                return
            _, place = heapq.heappop(self._due)
            kind, key = place
            record = self.held.get(key) if kind == Held.__name__ else self._records.get(place)
            if record is not None and record.until is not None and record.until > now:
                heapq.heappush(self._due, (record.until, place))
                continue
            self._timed.discard(place)
            if record is not None and record.until is not None:
                self.drop(type(record), key)


def _average(figures: dict[str, float], key: str, new: float) -> None:
    old = figures.get(key)
    figures[key] = new if old is None else old + _WEIGHT * (new - old)
