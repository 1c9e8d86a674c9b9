"""The rules that all four drivers share. Nothing in here calls a model.

A `Run` admits calls (trust, deadline, limits) and settles them (usage, cost, a row). What it writes down is in
`tierwise.record`; how its flow advances, in `tierwise.steps`; what of a streamed call is shown, in `tierwise.passage`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

from tierwise.admission import Held, Limits, OnStateLoss
from tierwise.attempt import INTERRUPTED, Attempt, Outcome, Show
from tierwise.backends.base import Backend
from tierwise.backends.registry import Backends
from tierwise.counts import counted, never_billed
from tierwise.deadline import Deadline
from tierwise.effects import Effects, Paused, Sleep, abegun, aperform, begun, perform, withdrawn
from tierwise.errors import (
    BudgetExceededError,
    DeadlineError,
    InvalidRequestError,
    LimitError,
    TooManyCallsError,
    TrustError,
)
from tierwise.fleet.price import Cost
from tierwise.fleet.pricing import Pricing
from tierwise.ids import new_id
from tierwise.ledger.base import Ledger
from tierwise.ledger.rows import Row
from tierwise.limits.base import Limit
from tierwise.observer import UNWATCHED, Observer
from tierwise.record import Record
from tierwise.state import Observed, State
from tierwise.task import Task
from tierwise.values import evolve

if TYPE_CHECKING:
    from tierwise.limits.retry import Retry

__all__ = ["MOST_CALLS", "Admitted", "Run", "Ticket", "commits"]

MOST_CALLS = 100
"""How many calls a run may make where nobody says otherwise: more than any strategy of ours needs."""

_ZERO = Decimal(0)


@dataclass(slots=True)
class Ticket:
    """A call that may go now."""

    attempt: Attempt
    backend: Backend
    started: float
    """Monotonic seconds."""
    row: Row
    held: Held | None
    outcome: Outcome | None = None
    """How the call ended, once that is known."""
    observed: Observed | None = None
    """How the model did."""
    released: bool = False


Admitted: TypeAlias = "Ticket | Outcome | Paused"
"""A call that may go, one that was refused, or one that waits for its turn."""


class Run:
    """One run of a task: what its drivers may do, and what they did."""

    def __init__(
        self,
        task: Task,
        *,
        backends: Backends,
        pricing: Pricing,
        ledger: Ledger,
        state: State,
        limits: Sequence[Limit] = (),
        retry: Retry | None = None,
        max_calls: int = MOST_CALLS,
        on_state_loss: OnStateLoss = "fail_closed",
        observer: Observer = UNWATCHED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task = task
        self.run_id = new_id()
        self.watch = observer.watch(task, self.run_id)
        self.ledger = ledger
        self.record = Record(self.run_id, ledger, self.watch)
        self._backends = backends
        self._pricing = pricing
        self._state = state
        self._deadline = deadline = Deadline(task.deadline, clock)
        # Nothing in a run refers back to it: so it is gone when it is done, and leaves the garbage collector no work.
        self._limits = Limits(limits, state, self.run_id, pricing, on_state_loss, deadline, self.record.take)
        self._retries = None if retry is None else retry.of_run()
        self._max_calls = max_calls
        self._calls = count(1)
        self._clock = clock

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock()

    def remaining(self) -> float | None:
        """Seconds that are left of the deadline; `None` if there is none.

        Raises:
            DeadlineError: None are left.
        """
        return self._deadline.remaining()

    def late(self) -> DeadlineError:
        """The error that says that the deadline passed."""
        return self._deadline.late()

    def admit(self, attempt: Attempt) -> Ticket | Outcome:
        """Whether a call may go: a ticket, or a failed outcome that cost nothing. Waits where a limit says so.

        Raises:
            TrustError: The model may not see the task. Ladders are filtered by trust; this is the last line of defence.
            DeadlineError: The deadline has passed.
            MissingExtraError: No installed package can call the model.
            LimitError: A limit refused the call, and says that the run ends with it.
            TooManyCallsError: The run has made as many calls as it may.
        """
        return perform(self._admission(attempt), self._state)

    def aadmit(self, attempt: Attempt) -> Awaitable[Ticket | Outcome]:
        """The async twin of `admit`."""
        return aperform(self._admission(attempt), self._state)

    def readmit(self, failed: Outcome) -> Ticket | Outcome | None:
        """Admits a call once more that failed for a passing reason, after a pause; `None` if it is not made again.

        Raises:
            TierwiseError: See `admit`.
        """
        return perform(self._readmission(failed), self._state)

    def areadmit(self, failed: Outcome) -> Awaitable[Ticket | Outcome | None]:
        """The async twin of `readmit`."""
        return aperform(self._readmission(failed), self._state)

    def admit_all(self, attempts: Iterable[Attempt]) -> list[Admitted]:
        """Admits the calls of a batch in their order; if one is not allowed at all, none of them goes.

        One that has to wait is given as it stands: what it waits for may be another call of the batch.

        Raises:
            TierwiseError: See `admit`.
        """
        admitted: list[Admitted] = []
        try:
            for attempt in attempts:
                admitted.append(begun(self._admission(attempt), self._state))  # noqa: PERF401 - withdrawn on an error
        except BaseException as error:
            self.withdraw(admitted, error)
            raise
        return admitted

    async def aadmit_all(self, attempts: Iterable[Attempt]) -> list[Admitted]:
        """The async twin of `admit_all`."""
        admitted: list[Admitted] = []
        try:
            for attempt in attempts:
                admitted.append(await abegun(self._admission(attempt), self._state))  # noqa: PERF401 - as above
        except BaseException as error:
            await self.awithdraw(admitted, error)
            raise
        return admitted

    def resume(self, paused: Paused) -> Ticket | Outcome:
        """Waits for the turn of a call. See `admit`."""
        return perform(paused.effects, self._state, paused.pause)

    def aresume(self, paused: Paused) -> Awaitable[Ticket | Outcome]:
        """The async twin of `resume`."""
        return aperform(paused.effects, self._state, paused.pause)

    def withdraw(self, admitted: Iterable[Admitted], cause: BaseException) -> None:
        """Gives back what was set aside for calls that were admitted and, because of the cause, never made."""
        for item in admitted:
            perform(self._withdrawal(item, cause), self._state)

    async def awithdraw(self, admitted: Iterable[Admitted], cause: BaseException) -> None:
        """The async twin of `withdraw`."""
        for item in admitted:
            await aperform(self._withdrawal(item, cause), self._state)

    def release(self, ticket: Ticket) -> None:
        """Tells the limits how the call ended; its driver does so once, however it ended."""
        perform(self._release(ticket), self._state)

    def arelease(self, ticket: Ticket) -> Awaitable[None]:
        """The async twin of `release`."""
        return aperform(self._release(ticket), self._state)

    def _admission(self, attempt: Attempt) -> Effects[Ticket | Outcome]:
        model, task = attempt.model, attempt.task
        if next(self._calls) > self._max_calls:
            raise TooManyCallsError(self._max_calls)
        if not model.may_see(task.trust):
            raise TrustError(
                f"{model.id} (trust {model.trust or 'any'!r}) may not see a task with trust={task.trust!r}"
            )
        backend = self._backends.get(model)
        call_id, at = new_id(), time.time()
        self.remaining()  # nothing is set aside where no time is left
        row = self.record.asked(attempt, call_id, at)
        try:
            held = yield from self._limits.reserve(attempt, call_id, backend, at)
        except LimitError as error:
            self.record.refused(row, error)
            if error.final:
                raise self._ending(error) from error.__cause__
            return Outcome(evolve(attempt, call_id=call_id), error=error, cost=_ZERO)
        try:
            left = self.remaining()  # the call may have waited
        except DeadlineError as error:
            yield from self._limits.settle(held, call_id, Outcome(attempt, error=error, cost=_ZERO), None)
            raise
        cap = None if held is None else held.output_cap
        attempt = evolve(attempt, call_id=call_id, timeout=left, output_cap=cap)
        self.record.began(row)
        return Ticket(attempt, backend, self._clock(), row, held)

    def _readmission(self, failed: Outcome) -> Effects[Ticket | Outcome | None]:
        if self._retries is None:
            return None
        attempt = failed.attempt
        repeated = self._backends.get(attempt.model).client_retries(attempt.model)
        pause = self._retries.pause(failed, repeated=repeated, left=self.remaining())
        if pause is None:
            return None
        yield Sleep(pause)
        reason = f"retry: {type(failed.error).__name__}"
        again = evolve(attempt, retries=attempt.retries + 1, reason=reason, output_cap=None)
        return (yield from self._admission(again))

    def _ending(self, error: LimitError) -> LimitError:
        """The error, with the best answer that there is."""
        if isinstance(error, BudgetExceededError):
            error.outcome = self.record.best
        return error

    def _withdrawal(self, item: Admitted, cause: BaseException) -> Effects[None]:
        if isinstance(item, Paused):
            yield from withdrawn(item)
        elif isinstance(item, Ticket) and item.outcome is None and not item.released:
            item.outcome = Outcome(item.attempt, error=cause, cost=_ZERO)
            try:
                self.record.refused(item.row, cause)
            finally:
                yield from self._release(item)

    def _release(self, ticket: Ticket) -> Effects[None]:
        if ticket.released:
            return
        ticket.released = True
        # With no outcome the call was broken off before its driver could tell: it may have been billed.
        outcome = ticket.outcome or Outcome(ticket.attempt, finish_reason=INTERRUPTED)
        yield from self._limits.settle(ticket.held, ticket.row.call_id, outcome, ticket.observed)

    def settle(self, ticket: Ticket, outcome: Outcome, *, first_token: float | None = None) -> Outcome:
        """The outcome with what the driver knows of it: cost, latency, repaired tool calls; its row is written."""
        if outcome.attempt is not ticket.attempt:
            outcome = evolve(outcome, attempt=ticket.attempt)
        try:
            outcome = _repaired(outcome)
            if outcome.repaired:
                outcome = evolve(outcome, raw=ticket.backend.rebuilt(outcome))
            outcome, source = self._priced(ticket, outcome, first_token)
            self.record.settled(ticket.row, outcome, source)
        finally:
            ticket.outcome = outcome
        self.record.drafted(outcome)
        return outcome

    def _priced(self, ticket: Ticket, outcome: Outcome, first_token: float | None) -> tuple[Outcome, str]:
        """The outcome with its usage, cost and times, and where its price came from."""
        attempt, usage, error = ticket.attempt, outcome.usage, outcome.error
        latency = self._clock() - ticket.started
        if error is None and attempt.work is None:
            usage = counted(outcome)
        if attempt.work is None:
            ticket.observed = _observed(ticket, outcome, latency)
        if error is not None and usage is None and never_billed(error):
            cost = Cost(_ZERO, "failed")
        else:
            cost = self._pricing.cost(attempt.model, outcome.model, usage)
        priced = evolve(outcome, usage=usage, cost=cost.usd, latency=latency, first_token=first_token)
        return priced, cost.source

    def fail(self, ticket: Ticket, error: BaseException) -> Outcome:
        """The failed outcome of a call, if its backend calls the error a failure; the error propagates otherwise.

        Raises:
            DeadlineError: The call failed because the deadline passed.
        """
        outcome = self.settle(ticket, Outcome(ticket.attempt, error=error))
        if not isinstance(error, Exception) or not ticket.backend.is_failure(error):
            raise error
        self.check_deadline(error)
        return outcome

    def check_deadline(self, cause: BaseException) -> None:
        """Raises the deadline's own error if the deadline is what ended a call."""
        try:
            self.remaining()
        except DeadlineError as late:
            raise late from cause


def _repaired(outcome: Outcome) -> Outcome:
    """The outcome with the tool calls that its text holds; without tools there is none to look for."""
    if not outcome.attempt.task.tools:
        return outcome
    from tierwise.backends.repair import repaired

    return repaired(outcome)


def commits(outcome: Outcome) -> Outcome:
    """The outcome of a call that was made whole: a LIVE one counts as shown if there is something to show."""
    live = outcome.attempt.show == Show.LIVE and outcome.error is None
    committed = live and bool(outcome.text.strip() or outcome.tool_calls)
    return outcome if committed == outcome.committed else evolve(outcome, committed=committed)


def _observed(ticket: Ticket, outcome: Outcome, latency: float) -> Observed | None:
    """How the model did; nothing is learnt of it from a call that the caller broke off."""
    error = outcome.error
    if error is not None:
        # A request that was wrong in itself says nothing of the model.
        failed = isinstance(error, Exception) and ticket.backend.is_failure(error)
        failed = failed and not isinstance(error, InvalidRequestError)
        return Observed(ticket.attempt.model.key, failed=True) if failed else None
    whole = outcome.ok and outcome.finish_reason != INTERRUPTED
    return Observed(ticket.attempt.model.key, latency) if whole else None
