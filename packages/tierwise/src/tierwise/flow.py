"""Flows: decisions that ask for calls and never make one.

A flow is a generator. It yields a batch of what it wants called and is sent what came back, so it is the same for sync
and async, for every backend and in every framework; `tierwise.drive` holds the drivers. A flow does no I/O, reads no
clock, sets no context variable, never yields in `finally` and never catches `BaseException`.

    outcome = yield from call(Attempt(task, model))
    first, second = yield from gather(flow_a, flow_b)
    yield from note(Judged(outcome, verdict))
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from tierwise.attempt import Attempt, Outcome, Show
from tierwise.verdict import Verdict

if TYPE_CHECKING:
    from tierwise.context import Context, Decision

__all__ = [
    "Decided",
    "Flow",
    "Judged",
    "Moved",
    "Note",
    "Stated",
    "Step",
    "call",
    "done",
    "gather",
    "held",
    "note",
    "revised",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A note: this outcome was judged so."""

    outcome: Outcome
    verdict: Verdict


@dataclass(frozen=True, slots=True, eq=False)
class Stated:
    """A note: something that a receipt should say of the run, e.g. how a vote ended."""

    text: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """A note: who tries first."""

    decision: Decision
    context: Context | None = None
    """What it was chosen from, where that is the run's own."""


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """A note: the flow goes on with another model, because a call failed or an answer is weak."""

    kind: Literal["fallback", "escalation"]
    source: str
    """The tier that is left."""
    target: str
    """The tier that is asked next; a fallback may stay in its tier."""


Note: TypeAlias = Judged | Stated | Decided | Moved
"""What a flow tells its driver, for the record. It is answered with nothing."""

Step: TypeAlias = "tuple[Attempt | Note, ...]"

Flow: TypeAlias = Generator[Step, "tuple[Outcome, ...]", T]
"""Yields batches of attempts and notes, is sent the attempts' outcomes in order, returns a T."""


def call(attempt: Attempt) -> Flow[Outcome]:
    """The smallest flow: one call."""
    (outcome,) = yield (attempt,)
    return outcome


def note(*notes: Note) -> Flow[None]:
    """Tells the driver something for the record."""
    yield notes


def done(value: T) -> Flow[T]:
    """A flow that asks for nothing."""
    return value
    yield ()  # makes this a generator


def revised(flow: Flow[T], change: Callable[[Attempt], Attempt]) -> Flow[T]:
    """The same flow with each of its attempts changed, e.g. in what is shown of it, or in what it is for."""
    try:
        step = next(flow)
        while True:
            step = flow.send((yield tuple(change(item) if isinstance(item, Attempt) else item for item in step)))
    except StopIteration as stop:
        return stop.value
    finally:
        flow.close()


def held(flow: Flow[T]) -> Flow[T]:
    """The same flow with nothing shown while it runs, so that what it returns can still be judged."""
    return revised(flow, _hold)


def gather(*flows: Flow[T]) -> Flow[tuple[T, ...]]:
    """Runs flows side by side: their batches are merged step by step, so the calls of one step run at once.

    All calls are made as HOLD. Notes are passed on first, so that a flow that only has something to say does not wait
    for another's calls. If one flow raises, the others are closed and the error propagates.
    """
    flows = tuple(map(held, flows))
    results: dict[int, T] = {}
    waiting: dict[int, Step] = {}
    try:
        for i, flow in enumerate(flows):
            _advance(i, flow, None, waiting, results)
        while waiting:
            order = [i for i in sorted(waiting) if not _attempts(waiting[i])] or sorted(waiting)
            outcomes = yield tuple(item for i in order for item in waiting[i])
            start = 0
            for i in order:
                end = start + _attempts(waiting.pop(i))
                _advance(i, flows[i], outcomes[start:end], waiting, results)
                start = end
    finally:
        for flow in flows:
            flow.close()
    return tuple(results[i] for i in range(len(flows)))


def _advance(
    i: int, flow: Flow[T], outcomes: Sequence[Outcome] | None, waiting: dict[int, Step], results: dict[int, T]
) -> None:
    try:
        waiting[i] = next(flow) if outcomes is None else flow.send(tuple(outcomes))
    except StopIteration as stop:
        results[i] = stop.value


def _attempts(step: Step) -> int:
    return sum(isinstance(item, Attempt) for item in step)


def _hold(attempt: Attempt) -> Attempt:
    return attempt if attempt.show == Show.HOLD else replace(attempt, show=Show.HOLD, gate=None)
