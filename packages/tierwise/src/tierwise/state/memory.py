"""State of one process."""

from __future__ import annotations

import heapq
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from tierwise.state import rules
from tierwise.state.alarms import Alarms
from tierwise.state.base import State
from tierwise.state.claims import Balance, Claim, Denied, Granted, Observed, Slot, Taken, Turn
from tierwise.state.lines import next_of
from tierwise.state.once import Once, begin_once, end_once
from tierwise.state.records import KEPT, Account, Breaker, Bucket, Held, Keyed, Line, Places, Record

__all__ = ["MemoryState"]

_WEIGHT = 0.2
"""The weight of the newest figure in a moving average."""

_MOST = 1_000
"""The most records that one operation looks after, so that none takes long."""


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
        self._errors: dict[str, tuple[float, float]] = {}
        """The error rate of each model, and when it was called."""
        self._lock = threading.RLock()
        """Reentrant: the garbage collector may close a stream that was abandoned, and so settle its call, while this
        very thread is in the middle of another operation."""
        self._alarms = Alarms()

    def reserve(
        self,
        call_id: str,
        claims: Sequence[Claim],
        *,
        lease: float,
        least: int = 0,
        most: int = 0,
        wait: float = 0.0,
    ) -> Granted | Denied:
        """See `State`."""
        with self._lock:
            now = self._clock()
            self._book.forget(now)
            said = rules.reserve(self._book, now, call_id, claims, lease, least, most, wait)
            if isinstance(said, Denied):
                if wait and any(isinstance(claim, Turn) for claim in claims):
                    self._alarms.set(call_id, until_freed=isinstance(claims[said.index], Slot))
            elif self._alarms.waiting:
                self._alarms.drop(call_id)
                self._alarms.ring(next_of(self._book, claims))
            return said

    def settle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """See `State`."""
        with self._lock:
            if claims:
                rules.settle(self._book, self._clock(), call_id, claims, taken)
            if self._alarms.waiting:
                self._alarms.drop(call_id)
                self._alarms.ring(next_of(self._book, claims))
            if observed is not None:
                self._observe(observed)

    def pause(self, call_id: str, seconds: float, *, most: float) -> None:
        """See `State`. Who waits in a line is woken when it is its turn."""
        rung = threading.Event()
        if self._alarms.arm(call_id, rung.set):
            rung.wait(self._alarms.patience(call_id, seconds, most))
            self._alarms.disarm(call_id)

    async def apause(self, call_id: str, seconds: float, *, most: float) -> None:
        """See `State`."""
        import asyncio

        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        if self._alarms.arm(call_id, lambda: loop.call_soon_threadsafe(rung.set)):
            try:
                async with asyncio.timeout(self._alarms.patience(call_id, seconds, most)):
                    await rung.wait()
            except TimeoutError:
                pass
            finally:
                self._alarms.disarm(call_id)

    def lift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """See `State`."""
        with self._lock:
            rules.lift(self._book, self._clock(), key, cap, keep)

    def balance(self, key: str) -> Balance:
        """See `State`."""
        with self._lock:
            while rules.sweep(self._book, self._clock()):
                pass
            account = self._book.accounts.get(key)
            return Balance() if account is None else Balance(account.spent, account.reserved, account.cap)

    @property
    def held(self) -> int:
        """How many calls have something set aside."""
        with self._lock:
            return sum(not held.lapsed for held in list(self._book.held.values()))

    async def areserve(
        self,
        call_id: str,
        claims: Sequence[Claim],
        *,
        lease: float,
        least: int = 0,
        most: int = 0,
        wait: float = 0.0,
    ) -> Granted | Denied:
        """See `State`. The event loop does not turn meanwhile."""
        return self.reserve(call_id, claims, lease=lease, least=least, most=most, wait=wait)

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

    def begin_once(self, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool = False) -> Once:
        """See `State`."""
        with self._lock:
            now = self._clock()
            self._book.forget(now)
            return begin_once(self._book, now, key, fingerprint, run_id, lease=lease, again=again)

    def end_once(self, key: str, run_id: str, body: str | None, *, keep: float) -> None:
        """See `State`."""
        with self._lock:
            end_once(self._book, self._clock(), key, run_id, body, keep=keep)

    async def abegin_once(self, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool = False) -> Once:
        """See `State`. The event loop does not turn meanwhile."""
        return self.begin_once(key, fingerprint, run_id, lease=lease, again=again)

    async def aend_once(self, key: str, run_id: str, body: str | None, *, keep: float) -> None:
        """See `State`. The event loop does not turn meanwhile."""
        self.end_once(key, run_id, body, keep=keep)

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
        kept = self._errors.get(model)
        return None if kept is None else rules.faded(kept[0], self._clock() - kept[1])

    def open_for(self, circuit: str) -> float | None:
        """See `State`."""
        return rules.open_for(self._book.breakers.get(circuit), self._clock())

    def observe(self, observed: Observed) -> None:
        """See `State`."""
        with self._lock:
            self._observe(observed)

    def _observe(self, observed: Observed) -> None:
        model = observed.model
        self._errors[model] = _moved(self.error_rate(model), float(observed.failed)), self._clock()
        if observed.seconds is not None:
            self._latencies[model] = _moved(self._latencies.get(model), observed.seconds)


class _MemoryBook:
    """See `Book`."""

    def __init__(self) -> None:
        self.records: dict[type[Any], dict[str, Any]] = {
            kind: {} for kind in (Account, Places, Bucket, Breaker, Line, Held, Keyed)
        }
        self.accounts: dict[str, Account] = self.records[Account]
        self.places: dict[str, Places] = self.records[Places]
        self.buckets: dict[str, Bucket] = self.records[Bucket]
        self.breakers: dict[str, Breaker] = self.records[Breaker]
        self.lines: dict[str, Line] = self.records[Line]
        self.held: dict[str, Held] = self.records[Held]
        self.keyed: dict[str, Keyed] = self.records[Keyed]
        self.shelves = {claim: self.records[kind] for claim, kind in KEPT.items()}
        """See `Book`."""
        self.leases: list[tuple[float, str]] = []
        """A heap. It may name calls that were settled since."""
        self.soonest = inf
        """See `Book`."""
        self._crowded = _MOST
        """How long it is when it is looked through for them."""
        self._due: list[tuple[float, int, type[Record], str]] = []
        """A heap of when to look whether a record may be forgotten, with a number that tells entries apart."""
        self._timed: dict[type[Any], set[str]] = {kind: set() for kind in self.records}
        """What has an entry there."""
        self._count = 0

    def add(self, key: str, record: Record) -> None:
        """See `Book`."""
        kind = type(record)
        self.records[kind][key] = record
        if type(record) is Held and not record.lapsed:
            heapq.heappush(self.leases, (record.expires, key))
            if record.expires < self.soonest:
                self.soonest = record.expires
            if len(self.leases) > self._crowded:
                self._tidy()
        elif record.until is not None and key not in self._timed[kind]:
            self._watch(kind, key, record.until)

    def _tidy(self) -> None:
        self.leases = [(held.expires, call_id) for call_id, held in list(self.held.items()) if not held.lapsed]
        heapq.heapify(self.leases)
        self._crowded = 2 * len(self.leases) + _MOST

    def lapsed(self, now: float) -> Sequence[tuple[str, Held]]:
        """See `Book`."""
        found: list[tuple[str, Held]] = []
        while self.leases and self.leases[0][0] <= now and len(found) < _MOST:
            _, call_id = heapq.heappop(self.leases)
            held = self.held.get(call_id)
            if held is not None and not held.lapsed and held.expires <= now:
                found.append((call_id, held))
        self.soonest = self.leases[0][0] if self.leases else inf
        return found

    def forget(self, now: float) -> None:
        """Drops records whose time is over."""
        for _ in range(_MOST):
            if not self._due or self._due[0][0] > now:
                return
            _, _, kind, key = heapq.heappop(self._due)
            self._timed[kind].discard(key)
            record = self.records[kind].get(key)
            if record is None or record.until is None:
                continue
            if record.until > now:
                self._watch(kind, key, record.until)
            else:
                self.records[kind].pop(key, None)

    def _watch(self, kind: type[Record], key: str, until: float) -> None:
        self._count += 1
        self._timed[kind].add(key)
        heapq.heappush(self._due, (until, self._count, kind, key))


def _moved(old: float | None, new: float) -> float:
    """A moving average, moved."""
    return new if old is None else old + _WEIGHT * (new - old)
