"""The rules that all four drivers share. Nothing in here calls a model.

A `Run` admits calls (trust, deadline, limits, an intent in the ledger), settles them (usage, cost, a row) and keeps the
record. `Steps` advances a flow and answers its notes. What of a streamed call is shown is decided in
`tierwise.passage`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, TypeVar

from tierwise.backends.base import Backend
from tierwise.backends.registry import Backends
from tierwise.backends.repair import repaired
from tierwise.errors import BackendError, DeadlineError, FlowError, LedgerError, LimitError, TrustError
from tierwise.fleet.price import Cost, Usage
from tierwise.fleet.pricing import Pricing
from tierwise.flow import Attempt, Decided, Flow, Judged, Note, Outcome, Purpose, Show, Stated
from tierwise.ids import new_id
from tierwise.ledger.base import Ledger
from tierwise.ledger.rows import Row
from tierwise.limits.base import Limit, Reservation
from tierwise.state import State
from tierwise.task import CHARS_PER_TOKEN, Task
from tierwise.values import evolve

__all__ = ["INTERRUPTED", "Run", "Steps", "Ticket", "commits", "counted", "estimated"]

T = TypeVar("T")

INTERRUPTED = "interrupted"
"""The finish reason of a call whose consumer left before its end."""

DELIVERED: frozenset[Purpose] = frozenset({"answer", "synthesis"})
"""What a call can be for whose answer the user gets."""

_ZERO = Decimal(0)


@dataclass(slots=True)
class Ticket:
    """A call that may go now."""

    attempt: Attempt
    backend: Backend
    started: float
    """Monotonic seconds."""
    row: Row
    reservations: list[Reservation] = field(default_factory=list[Reservation])
    settled: bool = False

    def release(self, outcome: Outcome) -> None:
        """Settles every reservation, even if one of them cannot be."""
        self.settled = True
        if not self.reservations:
            return
        with ExitStack() as stack:
            for reservation in self.reservations:
                stack.callback(reservation.settle, outcome)


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task = task
        self.run_id = new_id()
        self.ledger = ledger
        self.statements: list[Stated] = []
        self._backends = backends
        self._pricing = pricing
        self._state = state
        self._limits = limits
        self._clock = clock
        self._ends = None if task.deadline is None else clock() + task.deadline
        self._rows: dict[str, Row] = {}
        self._decided = Decided("", "")

    @property
    def rows(self) -> tuple[Row, ...]:
        """One row for each call so far, in the order in which they began."""
        return tuple(self._rows.values())

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock()

    def remaining(self) -> float | None:
        """Seconds that are left of the deadline; `None` if there is none.

        Raises:
            DeadlineError: None are left.
        """
        if self._ends is None:
            return None
        left = self._ends - self._clock()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> DeadlineError:
        """The error that says that the deadline passed."""
        return DeadlineError(self.task.deadline or 0.0)

    def admit(self, attempt: Attempt) -> Ticket | Outcome:
        """Whether a call may go: a ticket, or a failed outcome that cost nothing.

        Raises:
            TrustError: The model may not see the task. Ladders are filtered by trust; this is the last line of defence.
            DeadlineError: The deadline has passed.
            MissingExtraError: No installed package can call the model.
        """
        model, task = attempt.model, attempt.task
        if not model.may_see(task.trust):
            raise TrustError(
                f"{model.id} (trust {model.trust or 'any'!r}) may not see a task with trust={task.trust!r}"
            )
        backend = self._backends.get(model)
        attempt = evolve(attempt, call_id=new_id(), timeout=self.remaining())
        row = Row(
            attempt.call_id,
            self.run_id,
            started_at=time.time(),
            session=task.session,
            job=task.job,
            node=task.node,
            role=task.role,
            decision_tier=self._decided.tier,
            decision_rule=self._decided.rule,
            tier=attempt.tier,
            purpose=attempt.purpose,
            model=model.id,
            reason=attempt.reason,
            typed=task.output_schema is not None,
            tools=len(task.tools),
        )
        ticket = Ticket(attempt, backend, self._clock(), row)
        try:
            for limit in self._limits:
                ticket.reservations.append(limit.reserve(attempt))
        except LimitError as error:
            outcome = Outcome(attempt, error=error, cost=_ZERO)
            self._refuse(ticket, outcome)
            return outcome
        except BaseException as error:
            ticket.release(Outcome(attempt, error=error))
            raise
        self._rows[row.call_id] = row
        return ticket

    def admit_all(self, attempts: Iterable[Attempt]) -> list[Ticket | Outcome]:
        """Admits the calls of a batch in their order; if one is not allowed at all, none of them goes.

        Raises:
            TierwiseError: See `admit`.
        """
        admitted: list[Ticket | Outcome] = []
        try:
            for attempt in attempts:
                admitted.append(self.admit(attempt))  # noqa: PERF401 - those before an error are withdrawn
        except BaseException as error:
            self.withdraw(admitted, error)
            raise
        return admitted

    def withdraw(self, admitted: Iterable[Ticket | Outcome], cause: BaseException) -> None:
        """Gives back what was set aside for calls that were admitted and, because of the cause, never made."""
        for ticket in admitted:
            if isinstance(ticket, Ticket) and not ticket.settled:
                self._refuse(ticket, Outcome(ticket.attempt, error=cause, cost=_ZERO))

    def _refuse(self, ticket: Ticket, outcome: Outcome) -> None:
        assert outcome.error is not None  # noqa: S101 - a refusal has a reason
        try:
            self._keep(evolve(_failed(ticket.row, outcome.error), state="refused", cost=_ZERO, cost_source="refused"))
        finally:
            ticket.release(outcome)

    def settle(self, ticket: Ticket, outcome: Outcome, *, first_token: float | None = None) -> Outcome:
        """The outcome with what the driver knows of it: cost, latency, repaired tool calls; its row is written."""
        if outcome.attempt is not ticket.attempt:
            outcome = evolve(outcome, attempt=ticket.attempt)
        try:
            outcome = repaired(outcome)
            if outcome.repaired:
                outcome = evolve(outcome, raw=ticket.backend.rebuilt(outcome))
            outcome, source = self._priced(ticket, outcome, first_token)
            self._keep(_settled(ticket.row, outcome, source), outcome)
        finally:
            ticket.release(outcome)
        return outcome

    def _priced(self, ticket: Ticket, outcome: Outcome, first_token: float | None) -> tuple[Outcome, str]:
        """The outcome with its usage, cost and times, and where its price came from."""
        attempt, usage, error = ticket.attempt, outcome.usage, outcome.error
        latency = self._clock() - ticket.started
        if error is None and attempt.work is None:
            usage = counted(outcome)
        if outcome.ok and outcome.finish_reason != INTERRUPTED:
            self._state.observe_latency(attempt.model.key, latency)
        if error is not None and usage is None and _never_billed(error):
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

    def take(self, note: Note) -> None:
        """Writes down a note of the flow."""
        match note:
            case Judged(outcome, verdict):
                row = self._rows.get(outcome.attempt.call_id)
                if row is None:
                    return
                self._keep(
                    evolve(
                        row,
                        verdict=verdict.result,
                        verifier=verdict.verifier,
                        evidence=verdict.evidence,
                        score=verdict.score,
                        threshold=verdict.threshold,
                        calibrated=verdict.calibrated,
                        conclusive=verdict.conclusive,
                        quotes=verdict.quotes,
                    )
                )
            case Decided():
                self._decided = note
            case Stated():
                self.statements.append(note)

    def deliver(self, outcome: Outcome | None) -> None:
        """Marks the call whose answer the user gets, if any, and unmarks every other that gave one."""
        delivered = None if outcome is None else outcome.attempt.call_id
        for row in self.rows:
            purpose = row.purpose
            if row.call_id == delivered:
                purpose = purpose if purpose in DELIVERED else "answer"
            elif purpose in DELIVERED and row.error_type is None:
                purpose = "draft"
            if purpose != row.purpose:
                self._keep(evolve(row, purpose=purpose))

    def _keep(self, row: Row, outcome: Outcome | None = None) -> None:
        self._rows[row.call_id] = row
        self.ledger.settle(row, outcome)


class Steps(Generic[T]):
    """Advances a flow, answers its notes and holds it to the rules.

    Attributes:
        result: What the flow returned, once `advance` has given `None`.
    """

    result: T

    def __init__(self, flow: Flow[T], run: Run) -> None:
        self._flow = flow
        self._run = run
        self.committed: Outcome | None = None

    def advance(self, outcomes: tuple[Outcome, ...] | None = None) -> tuple[Attempt, ...] | None:
        """Sends what came back and gives the next calls to make; `None` at the flow's end.

        Raises:
            FlowError: After a call that was shown, the flow asks for another, or returns something else.
        """
        self.committed = self.committed or next((o for o in outcomes or () if o.committed), None)
        try:
            step = next(self._flow) if outcomes is None else self._flow.send(outcomes)
            attempts = self._attempts(step)
            while not attempts:
                step = self._flow.send(())
                attempts = self._attempts(step)
        except StopIteration as stop:
            self.result = self._returned(stop.value)
            return None
        if self.committed is not None:
            raise FlowError("a committed outcome is what the flow returns, at once; it asked for another call")
        if len(attempts) > 1 and any(a.show != Show.HOLD for a in attempts):
            raise FlowError("calls made side by side must be HOLD")
        return attempts

    def _returned(self, result: T) -> T:
        shown = self.committed
        if shown is None:
            return result
        if not isinstance(result, Outcome) or result.attempt.call_id != shown.attempt.call_id:
            raise FlowError("a committed outcome is what the flow returns, at once; it returned something else")
        return result

    def close(self) -> None:
        """Ends the flow wherever it stands."""
        self._flow.close()

    def _attempts(self, step: Sequence[Attempt | Note]) -> tuple[Attempt, ...]:
        """The calls that a step asks for; what it notes is written down."""
        attempts: list[Attempt] = []
        for item in step:
            if isinstance(item, Attempt):
                attempts.append(item)
            else:
                self._run.take(item)
        return tuple(attempts)


def commits(outcome: Outcome) -> Outcome:
    """The outcome of a call that was made whole: a LIVE one counts as shown if there is something to show."""
    live = outcome.attempt.show == Show.LIVE and outcome.error is None
    committed = live and bool(outcome.text.strip() or outcome.tool_calls)
    return outcome if committed == outcome.committed else evolve(outcome, committed=committed)


def counted(outcome: Outcome) -> Usage:
    """The provider's own counts, or an estimate where it gave none."""
    usage = outcome.usage
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return estimated(outcome)
    return usage


def estimated(outcome: Outcome) -> Usage:
    """Characters / 4 for what the provider did not count, or had not yet counted to the end; flagged."""
    usage = outcome.usage or Usage()
    produced = len(outcome.text) + len(outcome.thinking) + sum(len(str(c.arguments)) for c in outcome.tool_calls)
    tokens_in = outcome.attempt.task.estimated_tokens if usage.input_tokens is None else usage.input_tokens
    tokens_out = max(usage.output_tokens or 0, -(-produced // CHARS_PER_TOKEN))
    return evolve(usage, input_tokens=tokens_in, output_tokens=tokens_out, estimated=True)


def _settled(row: Row, outcome: Outcome, source: str) -> Row:
    row = evolve(
        row,
        state="settled",
        answered_by=outcome.model,
        usage=outcome.usage,
        cost=outcome.cost,
        cost_source=source,
        latency=outcome.latency,
        first_token=outcome.first_token,
        finish_reason="aborted" if outcome.aborted else outcome.finish_reason,
        repaired=outcome.repaired,
        tool_calls=len(outcome.tool_calls) if outcome.error is None else None,
    )
    return row if outcome.error is None else _failed(row, outcome.error)


def _failed(row: Row, error: BaseException) -> Row:
    return evolve(row, error_type=type(error).__name__, error=str(error))


def _never_billed(error: BaseException) -> bool:
    """True where the provider answered with an error status, or was never reached: nothing was produced."""
    if isinstance(error, ConnectionError | LedgerError):
        return True
    return isinstance(error, BackendError) and error.status is not None
