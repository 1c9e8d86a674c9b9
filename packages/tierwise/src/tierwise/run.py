"""The rules that all four drivers share. Nothing in here calls a model.

A `Run` admits calls (trust, deadline, limits, an intent in the ledger), settles them (usage, cost, a row) and keeps the
record. `Steps` advances a flow and answers its notes. A `Passage` decides what of a streamed call is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Generic, TypeVar

from tierwise.backends.base import Backend
from tierwise.backends.registry import Backends
from tierwise.backends.repair import repaired
from tierwise.errors import BackendError, DeadlineError, FlowError, LimitError, StreamBrokenError, TrustError
from tierwise.fleet.price import Usage
from tierwise.fleet.pricing import Pricing
from tierwise.flow import Attempt, Chunk, Decided, Flow, Judged, Note, Outcome, Prefix, Show, Stated
from tierwise.ids import new_id
from tierwise.ledger.base import Ledger
from tierwise.ledger.rows import Row
from tierwise.limits.base import Limit, Reservation
from tierwise.state import State
from tierwise.task import CHARS_PER_TOKEN, Task

__all__ = ["Passage", "Run", "Steps", "Ticket"]

T = TypeVar("T")

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
            raise DeadlineError(self.task.deadline or 0.0)
        return left

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
        attempt = replace(attempt, call_id=new_id(), timeout=self.remaining())
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
            outcome = Outcome(attempt, error=error)
            _release(ticket, outcome)
            self._keep(replace(_failed(row, error), state="refused", cost=_ZERO, cost_source="refused"))
            return outcome
        self._rows[row.call_id] = row
        return ticket

    def settle(self, ticket: Ticket, outcome: Outcome, *, first_token: float | None = None) -> Outcome:
        """The outcome with what the driver knows of it: cost, latency, repaired tool calls; its row is written."""
        latency = self._clock() - ticket.started
        model = ticket.attempt.model
        outcome = repaired(outcome)
        if outcome.repaired:
            outcome = replace(outcome, raw=ticket.backend.rebuilt(outcome))
        usage = outcome.usage
        if outcome.error is None and ticket.attempt.work is None:
            usage = _counted(outcome)
            self._state.observe_latency(model.key, latency)
        cost = self._pricing.cost(model, outcome.model, usage)
        outcome = replace(
            outcome, attempt=ticket.attempt, usage=usage, cost=cost.usd, latency=latency, first_token=first_token
        )
        row = replace(
            ticket.row,
            state="settled",
            answered_by=outcome.model,
            usage=usage,
            cost=cost.usd,
            cost_source=cost.source,
            latency=latency,
            first_token=first_token,
            finish_reason="aborted" if outcome.aborted else outcome.finish_reason,
            repaired=outcome.repaired,
            tool_calls=len(outcome.tool_calls) if outcome.error is None else None,
        )
        if outcome.error is not None:
            row = _failed(row, outcome.error)
            if usage is None and _never_billed(outcome.error):
                row = replace(row, cost=_ZERO, cost_source="failed")
                outcome = replace(outcome, cost=_ZERO)
        self._keep(row, outcome)
        _release(ticket, outcome)
        return outcome

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
                    replace(
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

    def deliver(self, outcome: Outcome) -> None:
        """Marks the call whose answer the user gets."""
        row = self._rows.get(outcome.attempt.call_id)
        if row is not None and row.purpose not in ("answer", "synthesis"):
            self._keep(replace(row, purpose="answer"))

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
        self._committed = False

    def advance(self, outcomes: tuple[Outcome, ...] | None = None) -> tuple[Attempt, ...] | None:
        """Sends what came back and gives the next calls to make; `None` at the flow's end.

        Raises:
            FlowError: The flow asks for another call after one that was shown.
        """
        self._committed = self._committed or any(o.committed for o in outcomes or ())
        try:
            step = next(self._flow) if outcomes is None else self._flow.send(outcomes)
            while not any(isinstance(item, Attempt) for item in step):
                self._note(step)
                step = self._flow.send(())
        except StopIteration as stop:
            self.result = stop.value
            return None
        self._note(step)
        attempts = tuple(item for item in step if isinstance(item, Attempt))
        if self._committed:
            raise FlowError("a committed outcome is what the flow returns, at once; it asked for another call")
        if len(attempts) > 1 and any(a.show != Show.HOLD for a in attempts):
            raise FlowError("calls made side by side must be HOLD")
        return attempts

    def close(self) -> None:
        """Ends the flow wherever it stands."""
        self._flow.close()

    def _note(self, step: Sequence[Attempt | Note]) -> None:
        for item in step:
            if not isinstance(item, Attempt):
                self._run.take(item)


class Passage:
    """Decides what of a streamed call is shown, and puts its outcome together.

    Args:
        ticket: The call.
        run: The run that it belongs to.
        shown: Whether there is a consumer. Without one, a gated call is read in the same way and nothing is final
            before its end.
    """

    def __init__(self, ticket: Ticket, run: Run, *, shown: bool) -> None:
        self.aborted = False
        self._ticket = ticket
        self._run = run
        self._shown = shown
        self._gate = ticket.attempt.gate if ticket.attempt.show == Show.GATED else None
        self._open = self._gate is None
        self._visible = False
        self._first: float | None = None
        self._withheld: list[Chunk] = []
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[Any] = []
        self._logprobs: list[float] = []
        self._raw: list[Any] = []
        self._whole: Any = None
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._model: str | None = None

    def feed(self, chunk: Chunk) -> Sequence[Chunk]:
        """Takes a chunk; gives those that may be shown now."""
        self._run.remaining()
        self._collect(chunk)
        if chunk.is_visible and self._first is None:
            self._first = self._run.now() - self._ticket.started
        if not self._open:
            self._ask(done=False)
        if self.aborted:
            return ()
        self._withheld.append(chunk)
        if not self._open or not (self._visible or chunk.is_visible):
            return ()
        self._visible = True
        ready, self._withheld = self._withheld, []
        return ready

    def end(self) -> tuple[Sequence[Chunk], Outcome]:
        """The stream came to its end: the chunks that may still be shown, and the outcome."""
        if not self._open and not self.aborted:
            self._ask(done=True)
        rest: Sequence[Chunk] = ()
        if self._open and not self.aborted and any(c.is_visible for c in self._withheld):
            self._visible = True
            rest, self._withheld = self._withheld, []
        return rest, self._settle(self._outcome(estimate=self.aborted))

    def broken(self, error: BaseException) -> Outcome:
        """The stream died.

        Raises:
            StreamBrokenError: Something had been shown, so that nothing else can be tried.
        """
        partial = self._outcome(estimate=bool(self._text or self._calls))
        outcome = self._settle(replace(partial, error=error, committed=False))
        ticket = self._ticket
        if isinstance(error, DeadlineError) or not isinstance(error, Exception) or not ticket.backend.is_failure(error):
            raise error
        self._run.check_deadline(error)
        if self._visible and self._shown:
            raise StreamBrokenError(ticket.attempt.model.id, outcome.text, error) from error
        return outcome

    def left(self) -> None:
        """The consumer left before the end: what was streamed is settled as an estimate."""
        self._settle(replace(self._outcome(estimate=True), finish_reason="interrupted"))

    def _ask(self, *, done: bool) -> None:
        assert self._gate is not None  # noqa: S101 - asked only while a gate holds the call
        prefix = Prefix("".join(self._text), tuple(self._calls), tuple(self._logprobs), done)
        answer = self._gate(prefix)
        self._open = answer == "commit"
        self.aborted = answer == "abort"

    def _collect(self, chunk: Chunk) -> None:
        self._text.append(chunk.text)
        self._thinking.append(chunk.thinking)
        self._calls.extend(chunk.tool_calls)
        self._logprobs.extend(chunk.logprobs)
        if chunk.raw is not None:
            self._raw.append(chunk.raw)
        self._whole = chunk.whole if chunk.whole is not None else self._whole
        self._usage = chunk.usage or self._usage
        self._finish = chunk.finish_reason or self._finish
        self._model = chunk.model or self._model

    def _outcome(self, *, estimate: bool) -> Outcome:
        outcome = Outcome(
            self._ticket.attempt,
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=tuple(self._calls),
            logprobs=tuple(self._logprobs) or None,
            usage=self._usage,
            model=self._model,
            finish_reason=self._finish,
            committed=self._visible and self._open,
            aborted=self.aborted,
            raw=self._whole if self._whole is not None else tuple(self._raw) or None,
        )
        return replace(outcome, usage=_estimated(outcome)) if estimate and self._usage is None else outcome

    def _settle(self, outcome: Outcome) -> Outcome:
        return self._run.settle(self._ticket, outcome, first_token=self._first)


def commits(outcome: Outcome) -> Outcome:
    """The outcome of a LIVE call that was made whole: it counts as shown if there is something to show."""
    if outcome.attempt.show == Show.LIVE and outcome.error is None and (outcome.text.strip() or outcome.tool_calls):
        return replace(outcome, committed=True)
    return outcome


def _counted(outcome: Outcome) -> Usage:
    usage = outcome.usage
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return _estimated(outcome)
    return usage


def _estimated(outcome: Outcome) -> Usage:
    """Characters / 4 for what the provider did not count; flagged."""
    usage = outcome.usage or Usage()
    produced = len(outcome.text) + len(outcome.thinking) + sum(len(str(c.arguments)) for c in outcome.tool_calls)
    tokens_in = outcome.attempt.task.estimated_tokens if usage.input_tokens is None else usage.input_tokens
    tokens_out = -(-produced // CHARS_PER_TOKEN) if usage.output_tokens is None else usage.output_tokens
    return replace(usage, input_tokens=tokens_in, output_tokens=tokens_out, estimated=True)


def _failed(row: Row, error: BaseException) -> Row:
    return replace(row, error_type=type(error).__name__, error=str(error))


def _never_billed(error: BaseException) -> bool:
    """True where the provider answered with an error status, or was never reached: nothing was produced."""
    return isinstance(error, ConnectionError) or (isinstance(error, BackendError) and error.status is not None)


def _release(ticket: Ticket, outcome: Outcome) -> None:
    for reservation in ticket.reservations:
        reservation.settle(outcome)
