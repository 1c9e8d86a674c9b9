"""One span for a routed call, and one for each attempt beneath it."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType

from opentelemetry import context as contexts
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from tierwise.attempt import WORK, Attempt, Outcome
from tierwise.backends.base import Backend
from tierwise.errors import BackendError
from tierwise.flow import Decided, Moved, Note, Stated
from tierwise.ledger.rows import Row
from tierwise.observer import Ending
from tierwise.task import Task
from tierwise.telemetry import attributes, content, names
from tierwise.telemetry.attributes import Attributes
from tierwise.telemetry.metrics import Instruments

__all__ = ["RunSpans", "Tools", "tools"]


@dataclass(frozen=True, slots=True)
class Tools:
    """What spans and metrics are made with."""

    tracer: Tracer
    instruments: Instruments
    content: bool


def tools(
    tracers: trace.TracerProvider | None, meters: metrics.MeterProvider | None, version: str, *, content: bool
) -> Tools:
    """The tools of one `Telemetry`; providers that are not given are the process's own."""
    meter = metrics.get_meter("tierwise", version, meters)
    return Tools(trace.get_tracer("tierwise", version, tracers), Instruments(meter), content)


@dataclass(slots=True)
class _Call:
    """A call that was sent."""

    span: Span
    context: Context
    inference: Attributes
    task: Task
    ended: int | None = None
    """Nanoseconds since 1970."""


class RunSpans:
    """Sees one run.

    An attempt's span is ended when the run is, as of the moment at which the call was over: only then is it known what
    was said of its answer, and which answer the user gets.

    Args:
        tools: What spans and metrics are made with.
        task: What is asked.
        run_id: The run's id.
    """

    def __init__(self, tools: Tools, task: Task, run_id: str) -> None:
        self._tools = tools
        self._task = task
        self._run_id = run_id
        self._calls: dict[str, _Call] = {}
        self._unsent: list[str] = []
        self._moves: Counter[str] = Counter({names.FALLBACKS: 0, names.ESCALATIONS: 0})
        self._span: Span = trace.INVALID_SPAN
        self._within = contexts.get_current()
        self._epoch = time.time_ns() - time.monotonic_ns()

    def began(self) -> None:
        """See `Watch`."""
        self._began = self._now()
        told = attributes.run(self._task, self._run_id)
        self._span = self._tools.tracer.start_span(
            names.SPAN_RUN, self._within, SpanKind.INTERNAL, told, start_time=self._began
        )
        self._within = trace.set_span_in_context(self._span, self._within)

    def noted(self, note: Note) -> None:
        """See `Watch`."""
        match note:
            case Decided(decision, context) if self._span.is_recording():
                self._span.set_attributes(attributes.decision(decision, context))
                if context is not None:
                    self._span.set_attribute(names.DECISION_DURATION, self._seconds())
            case Moved(kind):
                self._moves[names.FALLBACKS if kind == "fallback" else names.ESCALATIONS] += 1
                told = attributes.moved(note)
                event = names.EVENT_FALLBACK if kind == "fallback" else names.EVENT_ESCALATION
                self._span.add_event(event, told, self._now())
                self._tools.instruments.moved(note, told, self._within)
            case Stated(data={"state_loss": mode}):
                lost: Attributes = {names.STATE_LOSS: str(mode)}
                self._span.add_event(names.EVENT_STATE_LOSS, lost, self._now())
                self._tools.instruments.lost(lost, self._within)
            case _:
                pass

    def calling(self, attempt: Attempt, backend: Backend, *, streamed: bool) -> AbstractContextManager[object]:
        """See `Watch`."""
        call = self._calls.get(attempt.call_id)
        if call is None:
            call = self._calls[attempt.call_id] = self._begin(attempt, backend, streamed)
        return _Current(call.context)

    def _begin(self, attempt: Attempt, backend: Backend, streamed: bool) -> _Call:
        model = attempt.model
        is_work = model.id == WORK.id
        inference = {} if is_work else attributes.inference(attempt, backend.server(model))
        told = inference | attributes.request(attempt, streamed=streamed)
        if self._tools.content and not is_work:
            told |= content.asked(attempt.task)
        span = self._tools.tracer.start_span(
            names.SPAN_CHECK if is_work else f"chat {model.name}",
            self._within,
            SpanKind.INTERNAL if is_work else SpanKind.CLIENT,
            told,
            start_time=self._now(),
        )
        return _Call(span, trace.set_span_in_context(span, self._within), inference, attempt.task)

    def kept(self, row: Row, outcome: Outcome | None) -> None:
        """See `Watch`."""
        call = self._calls.get(row.call_id)
        if call is not None and outcome is not None:
            call.ended = self._now()
            self._settle(call.span, outcome)
        elif call is None and (outcome is not None or row.state == "refused"):
            self._unsent.append(row.call_id)
            self._span.add_event(names.EVENT_REFUSAL, attributes.unsent(row), self._now())
            self._tools.instruments.refused(row, self._within)

    def _settle(self, span: Span, outcome: Outcome) -> None:
        if outcome.response_id is not None:
            span.set_attribute(names.RESPONSE_ID, outcome.response_id)
        if isinstance(outcome.error, BackendError) and outcome.error.status is not None:
            span.set_attribute(names.HTTP_STATUS, outcome.error.status)
        if self._tools.content:
            span.set_attributes(content.answered(outcome))

    def ended(self, ending: Ending) -> None:
        """See `Watch`."""
        rows = ending.receipt.rows
        with ExitStack() as stack:  # a processor that raises at the end of one span leaves the others theirs
            stack.callback(self._end, ending)
            for number in range(len(rows), 0, -1):
                stack.callback(self._end_call, rows[number - 1], number)

    def _end_call(self, row: Row, number: int) -> None:
        call = self._calls.get(row.call_id)
        if call is None:
            return
        span = call.span
        if span.is_recording():
            span.set_attributes(attributes.response(row, number, content=self._tools.content))
        if row.error_type is not None:
            span.set_status(StatusCode.ERROR)
        self._tools.instruments.call(row, call.inference, call.context, task=call.task)
        span.end(call.ended if call.ended is not None else self._now())

    def _end(self, ending: Ending) -> None:
        counts = {names.CALLS: len(self._calls), names.REFUSALS: len(self._unsent), **self._moves}
        told = attributes.ending(ending) | counts
        self._span.set_attributes(told)
        if names.ERROR_TYPE in told:
            self._span.set_status(StatusCode.ERROR)
        self._tools.instruments.ran(self._seconds(), self._task.job, ending, self._within)
        self._span.end(self._now())

    def _now(self) -> int:
        """Nanoseconds since 1970, that never jump within a run."""
        return self._epoch + time.monotonic_ns()

    def _seconds(self) -> float:
        return (self._now() - self._began) / 1e9


class _Current:
    """Makes a span the current one."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token: Token[Context] = contexts.attach(self._context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A coroutine that is thrown away while it waits is closed in a context that this one was never attached to.
        if contexts.get_current() is self._context:
            contexts.detach(self._token)
