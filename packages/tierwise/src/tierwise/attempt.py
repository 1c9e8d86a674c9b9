"""A call that is asked for, and what comes back of it: piece by piece, and as a whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal, NamedTuple, TypeAlias

from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE, Usage
from tierwise.messages import ToolCall
from tierwise.task import Task
from tierwise.values import quick
from tierwise.verdict import Verdict

__all__ = [
    "INTERRUPTED",
    "WORK",
    "Attempt",
    "Chunk",
    "Gate",
    "GateAnswer",
    "Outcome",
    "Prefix",
    "Purpose",
    "Show",
]

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
