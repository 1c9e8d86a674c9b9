"""What the limits of a run say of its calls. Nothing in here waits: see `tierwise.effects`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias
from weakref import WeakKeyDictionary

from tierwise.attempt import Attempt, Outcome
from tierwise.deadline import Deadline
from tierwise.effects import Ask, Effects, Lift, Pause, Reserve, Settle
from tierwise.errors import LimitError, LimitStateError, StateError
from tierwise.fleet.pricing import Pricing
from tierwise.flow import Stated
from tierwise.ids import fraction
from tierwise.limits.base import LEAST_OUTPUT, MOST_OUTPUT, Call, Limit
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

QUIET = 60.0
"""Seconds without a loss of a state after which the next one is another outage, and logged."""

GRACE = 30.0
"""Seconds that a reservation outlives its call's deadline."""


@dataclass(slots=True, eq=False)
class Held(Call):
    """A call, and what is set aside for it."""

    claims: list[Claim] = field(default_factory=list[Claim])
    owners: list[tuple[Limit, Sequence[Claim]]] = field(default_factory=list[tuple[Limit, Sequence[Claim]]])
    """The limits that made them, in the same order."""
    output_cap: int | None = None
    """The longest answer that was set aside for, where nothing else bounds it."""

    def owner(self, index: int) -> Limit:
        """The limit whose claim this is."""
        return [limit for limit, claims in self.owners for _ in claims][index]


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

    def reserve(self, attempt: Attempt, call_id: str, backend: Backend, at: float) -> Effects[Held | None]:
        """Sets aside what the call may take, and waits where a limit says so; `None` if no limit counts it.

        Args:
            attempt: The call.
            call_id: Its id.
            backend: Who makes it.
            at: Seconds since 1970.

        Raises:
            LimitError: The call may not go.
        """
        held = self._asked(attempt, call_id, backend, at)
        if held is None:
            return None
        left, queue, answered = self.deadline.remaining(), None, False
        reserve = Reserve(call_id, held.claims, LEASE if left is None else left + GRACE, LEAST_OUTPUT, MOST_OUTPUT)
        try:
            while not isinstance(said := (yield reserve), Granted):
                answered = True
                queue = queue or _Queue(call_id)
                reserve = yield from self._denied(reserve, held, said, queue)
                answered = False
        except GeneratorExit:
            raise
        except StateError as error:
            self._lost(error, attempt)
            return None
        except BaseException:
            # Who waited has a place in a line; and whose question was interrupted may have been answered.
            if reserve.wait or not answered:
                yield from self._given_up(Settle(call_id, held.claims, [0] * len(held.claims), None))
            raise
        for claim in held.claims:
            if type(claim) is Spend and claim.each > 0:  # what is set aside depends on how long the answer is
                held.output_cap = said.units
                break
        return held

    def _given_up(self, settle: Settle) -> Effects[None]:
        try:
            yield settle
        except StateError as error:  # what may be set aside lapses
            self._log(error)

    def _asked(self, attempt: Attempt, call_id: str, backend: Backend, at: float) -> Held | None:
        """What the limits want set aside for the call."""
        if attempt.work is not None or not self.limits:
            return None
        tokens = attempt.task.estimated_tokens
        caches = any(message.cache for message in attempt.task.messages)
        bound = attempt.setting("max_output_tokens")
        held = Held(attempt, call_id, self.run_id, at, self.pricing, tokens, backend, bound, caches)
        for limit in self.limits:
            own = limit.claims(held)
            if own:
                held.claims += own
                held.owners.append((limit, own))
        return held if held.claims else None

    def settle(self, held: Held | None, call_id: str, outcome: Outcome, observed: Observed | None) -> Effects[None]:
        """Replaces what was set aside by what the call took.

        If the state is lost, it is told once more when it is back: what it cannot be told then is not counted.
        """
        claims: Sequence[Claim] = ()
        taken: Sequence[Taken] = ()
        broken: Exception | None = None
        if held is not None:
            claims = held.claims
            taken, broken = _taken(held, outcome)
        if claims or observed is not None:
            try:
                yield Settle(call_id, claims, taken, observed)
            except StateError as error:
                self._unsettled(Settle(call_id, claims, taken, None), error)  # to be told twice must not matter
            else:
                if _missed:
                    yield from self._caught_up()
        if broken is not None:
            raise broken

    def _unsettled(self, settle: Settle, error: StateError) -> None:
        self._log(error)
        if settle.claims:
            _missed.setdefault(self.state, deque(maxlen=MOST_MISSED)).append(settle)
            self._say("a call could not be settled: what it took is counted when the state is back", error)

    def _caught_up(self) -> Effects[None]:
        """Tells the state what it could not be told while it was lost."""
        missed = _missed.get(self.state)
        while missed:
            try:
                yield missed.popleft()
            except IndexError:  # another thread was faster
                return
            except StateError as error:
                self._log(error)
                return

    def _denied(self, reserve: Reserve, held: Held, denied: Denied, queue: _Queue) -> Effects[Reserve]:
        """Waits, or has a cap raised; gives what to ask next.

        Raises:
            LimitError: Neither helps.
        """
        limit, claim = held.owner(denied.index), held.claims[denied.index]
        pause = self._pause(limit, denied, queue)
        if pause is None or not held.attempt.patient:
            error = limit.refusal(claim, denied, held)
            error.could_wait = pause is not None
            yield from self._lifted(limit, claim, error, denied)
        elif not reserve.wait:
            # It waits, so it takes a place in the line: by asking once more.
            return replace(reserve, wait=PLACE)
        else:
            yield pause
        return reserve

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
        """Raises the cap, if the user's own function says so in time; raises the error otherwise."""
        cap = None
        if limit.ask is not None:
            answer = yield Ask(limit.ask, error, self.deadline)
            self.deadline.remaining()  # whoever was asked may have taken longer
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
        now = time.monotonic()
        latest, _losses[self.state] = _losses.get(self.state), now
        if latest is not None and now - latest < QUIET:
            return
        import logging

        meaning = "calls are refused" if self.on_state_loss == "fail_closed" else "calls go without limits"
        logging.getLogger("tierwise").warning("%s; %s. This is logged once an outage.", error, meaning)


def _taken(held: Held, outcome: Outcome) -> tuple[list[Taken], Exception | None]:
    """What the call took of each claim; and the error of a limit that cannot tell, to be raised when all is settled."""
    taken: list[Taken] = []
    broken: Exception | None = None
    for limit, claims in held.owners:
        for claim in claims:
            try:
                taken.append(limit.taken(claim, outcome, held))
            except Exception as error:  # noqa: BLE001 - see above
                taken.append(None)
                broken = error
    return taken, broken


_losses: WeakKeyDictionary[State, float] = WeakKeyDictionary()
"""When each state was lost, at last: monotonic seconds."""

_missed: WeakKeyDictionary[State, deque[Settle]] = WeakKeyDictionary()
"""The settlements that states could not be told while they were lost."""
