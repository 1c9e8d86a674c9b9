"""What the limits of a run say of its calls. Nothing in here waits: see `tierwise.effects`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakKeyDictionary, WeakSet

from tierwise.deadline import Deadline
from tierwise.effects import Ask, Effects, Lift, Pause, Reserve, Settle
from tierwise.errors import LimitError, LimitStateError, StateError
from tierwise.fleet.pricing import Pricing
from tierwise.flow import Attempt, Outcome, Stated
from tierwise.ids import fraction
from tierwise.limits.base import LEAST_OUTPUT, MOST_OUTPUT, Call, Limit
from tierwise.limits.tokens import prompt_tokens
from tierwise.state import Claim, Denied, Granted, Observed, Spend, State, Taken

if TYPE_CHECKING:
    from tierwise.backends.base import Backend

__all__ = ["Held", "Limits", "OnStateLoss"]

OnStateLoss: TypeAlias = Literal["fail_closed", "fail_open"]
"""What becomes of a call whose limits cannot be asked: it is refused, or it goes without them."""

LEASE = 600.0
"""Seconds for which a reservation holds where the task has no deadline: longer than a call takes."""

PLACE = 3.0
"""Seconds for which a call that waits keeps its place in a line when it does not ask again in time: it may be dead."""

GROWTH, MOST_TIMES, LONGEST = 1.5, 5.0, 0.25
"""A call that asks a shared state again waits that many times longer each time, up to so many times what the state
advised, and by no more than so many seconds."""

MOST_MISSED = 1_000
"""How many settlements are kept for a state that is lost; then the oldest are forgotten."""

GRACE = 30.0
"""Seconds that a reservation outlives its call's deadline."""


@dataclass(slots=True, eq=False)
class Held:
    """What is set aside for one call."""

    call: Call
    claims: list[Claim]
    limits: list[Limit]
    """Whose they are, one for each."""
    output_cap: int | None = None
    """The longest answer that was set aside for, where nothing else bounds it."""


class _Queue:
    """A call that waits for its turn. Each time it was told to ask again, it waits a little longer to do so."""

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        self._began = time.monotonic()
        self._times = 1.0
        self._share = fraction(call_id)

    @property
    def waited(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    def pause(self, soonest: float) -> float:
        """Seconds until it asks again: not before it is worth it, and not at the same moment as all others."""
        more = min(soonest * (self._times - 1.0 + self._share), LONGEST)
        self._times = min(self._times * GROWTH, MOST_TIMES)
        return soonest + more


@dataclass(slots=True, eq=False)
class Limits:
    """The limits of one run."""

    limits: Sequence[Limit]
    state: State
    run_id: str
    pricing: Pricing
    on_state_loss: OnStateLoss
    deadline: Deadline
    say: Callable[[Stated], None]
    """Takes what the record should say of the run."""

    def reserve(self, attempt: Attempt, backend: Backend) -> Effects[Held | None]:
        """Sets aside what the call may take, and waits where a limit says so; `None` if no limit counts it.

        Raises:
            LimitError: The call may not go.
        """
        if attempt.work is not None or not self.limits:
            return None
        held, bounds = Held(self._asking(attempt, backend), [], []), False
        for limit in self.limits:
            for claim in limit.claims(held.call):
                held.claims.append(claim)
                held.limits.append(limit)
                bounds = bounds or (type(claim) is Spend and claim.each > 0)
        if not held.claims:
            return None
        try:
            units = yield from self._reserved(held)
        except StateError as error:
            self._lost(error, attempt)
            return None
        if bounds:
            held.output_cap = units
        return held

    def _asking(self, attempt: Attempt, backend: Backend) -> Call:
        """The call, with what more than one limit wants to know of it."""
        task = attempt.task
        bound, caches = attempt.setting("max_output_tokens"), any(message.cache for message in task.messages)
        return Call(attempt, self.run_id, time.time(), self.pricing, prompt_tokens(task), backend, bound, caches)

    def settle(self, held: Held | None, call_id: str, outcome: Outcome, observed: Observed | None) -> Effects[None]:
        """Replaces what was set aside by what the call took."""
        claims: Sequence[Claim] = ()
        taken: Sequence[Taken] = ()
        broken: Exception | None = None
        if held is not None:
            claims = held.claims
            taken, broken = _taken(held, outcome)
        if claims or observed is not None:
            yield from self._settled(Settle(call_id, claims, taken, observed))
        if broken is not None:
            raise broken

    def _settled(self, settle: Settle) -> Effects[None]:
        """Tells the state; if it is lost, once more when it is back: what it cannot be told then is not counted."""
        try:
            yield settle
        except StateError as error:
            self._log(error)
            if settle.claims:
                settle = replace(settle, observed=None)  # to be told twice must not matter
                _missed.setdefault(self.state, deque(maxlen=MOST_MISSED)).append(settle)
                self._say("a call could not be settled: what it took is counted when the state is back", error)
            return
        missed = _missed.get(self.state) if _missed else None
        while missed:
            try:
                yield missed.popleft()
            except IndexError:  # another thread was faster
                return
            except StateError as error:
                self._log(error)
                return

    def _reserved(self, held: Held) -> Effects[int]:
        left, call = self.deadline.remaining(), held.call
        call_id = call.attempt.call_id
        lease = LEASE if left is None else left + GRACE
        reserve = Reserve(call_id, held.claims, lease, LEAST_OUTPUT, MOST_OUTPUT)
        asked = False
        queue: _Queue | None = None
        try:
            while True:
                asked = True
                said: Granted | Denied = yield reserve
                asked = False
                if isinstance(said, Granted):
                    return said.units
                limit, claim = held.limits[said.index], held.claims[said.index]
                queue = queue or _Queue(call_id)
                pause = self._pause(limit, said, queue)
                if pause is None or not call.attempt.patient:
                    error = limit.refusal(claim, said, call)
                    error.could_wait = pause is not None
                    yield from self._lifted(limit, claim, error, said)
                elif not reserve.wait:
                    # It waits, so it takes a place in the line: by asking once more.
                    reserve = replace(reserve, wait=PLACE)
                else:
                    yield pause
        except (GeneratorExit, StateError):
            raise
        except BaseException:
            # Who waited has a place in a line; and whose question was interrupted may have been answered.
            if asked or reserve.wait:
                yield Settle(call_id, reserve.claims, [0] * len(held.claims), None)
            raise

    def _pause(self, limit: Limit, denied: Denied, queue: _Queue) -> Pause | None:
        """How to wait; `None` if waiting does not help, or takes longer than the limit or the deadline allows."""
        soonest, left, rest = denied.retry_after, self.deadline.remaining(), limit.wait - queue.waited
        if soonest is None or soonest > rest:
            return None
        seconds = queue.pause(soonest)
        if left is None:
            return Pause(seconds, queue.call_id, rest)
        # It stops in time for another model to be asked.
        return Pause(seconds, queue.call_id, min(rest, left - seconds)) if seconds < left else None

    def _lifted(self, limit: Limit, claim: Claim, error: LimitError, denied: Denied) -> Effects[None]:
        """Raises the cap, if the user's own function says so; raises the error otherwise."""
        answer = (yield Ask(limit.ask, error)) if limit.ask is not None else None
        cap = limit.raised(claim, answer)
        if cap is None or cap <= denied.cap or not isinstance(claim, Spend):
            raise error
        yield Lift(claim.key, cap, claim.keep)

    def _lost(self, error: StateError, attempt: Attempt) -> None:
        """The limits cannot be asked: refuses the call, or lets it go and says so."""
        self._log(error)
        if self.on_state_loss == "fail_closed":
            raise LimitStateError(
                f"{attempt.model.key} is not called: its limits cannot be asked ({error}), and "
                "on_state_loss='fail_closed'",
                limit="state",
            ) from error
        self._say(f"{attempt.model.key} was called without its limits", error)

    def _say(self, text: str, error: StateError) -> None:
        self.say(Stated(f"{text}: {error}", {"state_loss": self.on_state_loss}))

    def _log(self, error: StateError) -> None:
        if self.state in _logged:
            return
        _logged.add(self.state)
        import logging

        meaning = "calls are refused" if self.on_state_loss == "fail_closed" else "calls go without limits"
        logging.getLogger("tierwise").warning("%s; %s. This is logged once.", error, meaning)


def _taken(held: Held, outcome: Outcome) -> tuple[list[Taken], Exception | None]:
    """What the call took of each claim; and the error of a limit that cannot tell, to be raised when all is settled."""
    taken: list[Taken] = []
    broken: Exception | None = None
    for limit, claim in zip(held.limits, held.claims, strict=True):
        try:
            taken.append(limit.taken(claim, outcome, held.call))
        except Exception as error:  # noqa: BLE001 - see above
            taken.append(None)
            broken = error
    return taken, broken


_logged: WeakSet[State] = WeakSet()
"""The states whose loss was logged."""

_missed: WeakKeyDictionary[State, deque[Settle]] = WeakKeyDictionary()
"""The settlements that states could not be told while they were lost."""
