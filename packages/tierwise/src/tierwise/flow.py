"""Flows: decisions that ask for calls and never make one.

A flow is a generator. It yields a batch of what it wants called and is sent what came back, so it is the same for sync
and async, for every backend and in every framework; `tierwise.drive` holds the drivers. A flow does no I/O, reads no
clock, sets no context variable, never yields in `finally` and never catches `BaseException`.

    outcome = yield from call(Attempt(task, model))
    first, second = yield from gather(flow_a, flow_b)
    yield from note(Judged(outcome, verdict))
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar

from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE, Usage
from tierwise.task import Task, ToolCall
from tierwise.values import quick

if TYPE_CHECKING:
    from tierwise.context import Context, Decision

__all__ = [
    "Attempt",
    "Chunk",
    "Decided",
    "Flow",
    "Gate",
    "GateAnswer",
    "Judged",
    "Moved",
    "Note",
    "Outcome",
    "Prefix",
    "Purpose",
    "Show",
    "Stated",
    "Step",
    "Verdict",
    "WORK",
    "call",
    "done",
    "gather",
    "held",
    "note",
    "revised",
]

T = TypeVar("T")

INTERRUPTED = "interrupted"
"""The finish reason of a call whose consumer left before its end."""

Purpose: TypeAlias = Literal["answer", "draft", "sample", "vote", "judge", "plan", "classify", "check", "synthesis"]
"""What a call is for. `answer` is what the user gets; everything else was spent on getting there."""

WORK = ModelSpec("work:check", price=FREE, trust="local")
"""The model of an attempt that is no model's: its `work` is done on this machine."""


class Show(StrEnum):
    """What of a call may be shown while it runs."""

    HOLD = "hold"
    """Nothing: one non-streaming call, replayed if the flow returns it."""
    LIVE = "live"
    """Everything, as it comes."""
    GATED = "gated"
    """Nothing until a gate that reads the prefix commits to it."""


class Chunk(NamedTuple):
    """A piece of a streamed answer. It is named by its fields; a tuple is made in a third of a dataclass's time."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Tool calls that are complete with this chunk."""
    logprobs: tuple[float, ...] = ()
    """Natural logarithms of the probabilities of this chunk's tokens."""
    usage: Usage | None = None
    finish_reason: str | None = None
    model: str | None = None
    """The model that answers, as the provider names it."""
    response_id: str | None = None
    """The answer's id, as the provider or its client gives it."""
    visible: bool | None = None
    """Whether a consumer would see this chunk; `None`: if it has text or a tool call."""
    raw: Any = None
    """The chunk in the backend's own form."""
    whole: Any = None
    """On the last chunk: the whole answer in the backend's own form, as a call that is not streamed would give it."""

    @property
    def is_visible(self) -> bool:
        """True if a consumer would see it; empty, blank and metadata chunks are not visible."""
        return bool(self.text.strip() or self.tool_calls) if self.visible is None else self.visible


@dataclass(frozen=True, slots=True)
class Prefix:
    """What has come of a gated call so far."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[float, ...] = ()
    done: bool = False
    task: Task | None = None
    """What was asked: its tools tell a valid call from any other."""
    final: bool = False
    """True once the whole text was searched for tool calls: what is none by then will not become one."""

    @property
    def may_be_call(self) -> bool:
        """True if the text can still turn out to be a tool call: it is blank, or opens as such a text does."""
        if self.final:
            return False
        start = self.text.lstrip()
        fence = _FENCE.match(start)
        start = start[fence.end() :] if fence else start
        return not start or start[0] in "{[" or any(tag.startswith(start[: len(tag)]) for tag in _TAGS)


_FENCE = re.compile(r"`{1,3}\w*\s*")
_TAGS = ("<tool", "<function_call>")

GateAnswer: TypeAlias = Literal["undecided", "commit", "abort"]

Gate: TypeAlias = Callable[[Prefix], GateAnswer]
"""A pure function of the prefix. Commit ends judgement; abort closes the call; undecided at the end is judged."""


@quick
@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A call that a flow asks for."""

    task: Task
    model: ModelSpec
    tier: str = ""
    _: KW_ONLY
    purpose: Purpose = "answer"
    show: Show = Show.HOLD
    gate: Gate | None = None
    reason: str = ""
    """Why this call is made, in words that a receipt can show. A ledger keeps them: they quote neither the request nor
    a model (`Verdict.plain` does not)."""
    temperature: float | None = None
    """Replaces the model's own setting."""
    seed: int | None = None
    """Replaces the model's own setting."""
    logprobs: bool = False
    """Ask for the tokens' log probabilities."""
    work: Callable[[], Any] | None = field(default=None, repr=False)
    """For a call that is no model's (a test run): what is to be done, away from the flow's own thread."""
    patient: bool = True
    """Whether the call may wait for its turn. If not, it is refused at once where it would have to: another model may
    have room."""
    timeout: float | None = None
    """Seconds that are left of the task's deadline; set by the driver."""
    call_id: str = ""
    """Set by the driver."""
    output_cap: int | None = None
    """The longest answer, in tokens, that a budget can pay where nothing else bounds it; set by the driver."""
    retries: int = 0
    """How often the call was made before, and failed for a passing reason; set by the driver."""

    def setting(self, name: Literal["temperature", "seed", "max_output_tokens"]) -> Any:
        """The setting that holds for this call: the attempt's own, else the smaller or nearer of task and model."""
        if name == "max_output_tokens":
            longest = self.task.max_output_tokens
            for cap in (self.model.max_output_tokens, self.output_cap):
                if cap is not None and (longest is None or cap < longest):
                    longest = cap
            return longest
        own = self.temperature if name == "temperature" else self.seed
        return own if own is not None else getattr(self.model, name)


@quick
@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came back of an attempt: an answer, or an error that the backend calls a failure."""

    attempt: Attempt
    _: KW_ONLY
    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[float, ...] | None = None
    """Natural logarithms of the tokens' probabilities; `None` if the backend gave none."""
    usage: Usage | None = None
    model: str | None = None
    """The model that answered, as the provider names it."""
    response_id: str | None = None
    """The answer's id, as the provider or its client gives it."""
    finish_reason: str | None = None
    error: BaseException | None = None
    committed: bool = False
    """Shown already: the flow returns it, at once."""
    aborted: bool = False
    """A gate closed the call."""
    value: Any = None
    """What the `work` of a call that is no model's gave back."""
    raw: Any = None
    """The answer in the backend's own form."""
    verdict: Verdict | None = None
    """What the strategy's verifier said, where one was asked."""
    cost: Decimal | None = None
    """USD; `None` if the price is not known. Set by the driver."""
    latency: float | None = None
    """Seconds from the call to its end. Set by the driver."""
    first_token: float | None = None
    """Seconds from the call to the first visible chunk, for streamed calls. Set by the driver."""

    @property
    def repaired(self) -> bool:
        """True if a tool call was written as text and read out of there."""
        return bool(self.tool_calls) and any(c.repaired for c in self.tool_calls)

    @property
    def ok(self) -> bool:
        """True if an answer came to its end."""
        return self.error is None and not self.aborted


@quick
@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says of an answer, and on what evidence."""

    result: Literal["accept", "reject", "abstain"]
    evidence: str = ""
    _: KW_ONLY
    verifier: str = ""
    conclusive: bool = False
    """Ends the matter: nothing dearer is asked."""
    score: float | None = None
    """The measured figure, where there is one. It is never invented: a signal that is not there abstains, and so does a
    score that is no finite number, whatever the verifier made of it."""
    threshold: float | None = None
    calibrated: bool | None = None
    """Whether the threshold comes from calibration on labelled rows; `None` where there is no threshold."""
    quotes: bool = field(default=True, compare=False)
    """Whether the evidence may repeat words of the request, of a model or of a program. It counts as content then, and
    a ledger that keeps no content leaves it out. True unless a verifier says otherwise."""
    parts: tuple[Verdict, ...] = ()

    def __post_init__(self) -> None:
        if self.score is not None and not math.isfinite(self.score):
            put = object.__setattr__
            put(self, "evidence", f"a score of {self.score} proves nothing: {self.evidence}")
            put(self, "result", "abstain")
            put(self, "conclusive", False)
            put(self, "score", None)

    @property
    def accepted(self) -> bool:
        """True if the verifier accepts."""
        return self.result == "accept"

    @property
    def rejected(self) -> bool:
        """True if the verifier rejects."""
        return self.result == "reject"

    @property
    def summary(self) -> str:
        """One line for a receipt."""
        return f"{self.verifier}: {self.evidence}" if self.verifier else self.evidence

    @property
    def plain(self) -> str:
        """One line that repeats nobody's words: verifier and figures in place of evidence that may quote."""
        if not self.quotes:
            return self.summary
        figures = [] if self.score is None else [f"{self.score:g}"]
        if self.threshold is not None:
            figures.append(f"threshold {self.threshold:g}")
        return ": ".join(filter(None, [self.verifier, ", ".join(figures)])) or self.result


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
