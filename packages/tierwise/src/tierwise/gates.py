"""Gates: pure functions of what has come of a streamed draft, that show it early or close it early.

They are values: a decision that carries one can be compared, copied and stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tierwise.attempt import Gate, GateAnswer, Prefix
from tierwise.errors import ConfigError
from tierwise.figures import check_figure
from tierwise.messages import ToolCall
from tierwise.task import Task
from tierwise.verifiers.output import tool_call_error

__all__ = ["act_only", "prefix_logprob", "wants_logprobs"]


@dataclass(frozen=True, slots=True)
class _ActOnly:
    prose: int

    def __call__(self, prefix: Prefix) -> GateAnswer:
        if prefix.tool_calls:
            return _call(prefix.task, prefix.tool_calls)
        if prefix.final and prefix.task is not None and prefix.task.output_schema is not None:
            return "undecided"
        if prefix.may_be_call or (len(prefix.text.strip()) <= self.prose and not prefix.done):
            return "undecided"
        return "abort"


def act_only(*, prose: int = 0) -> Gate:
    """Commits to a draft as soon as it makes a valid tool call, and closes it as soon as it is prose.

    For steps that should act: a small model that starts to talk is stopped, and the next tier asked. A call of an
    unknown tool, or with arguments that do not fit, closes the draft too. A call with high stakes is left to the
    verifier, and so is a call that the model writes as text, or a typed answer that begins as such a text does. Calls
    that come after the first are shown unchecked.

    Args:
        prose: Characters of text that may come before the call, as in "Let me look that up."

    Raises:
        ConfigError: `prose` is below zero.
    """
    check_figure("prose", prose, zero=True, whole=True)
    return _ActOnly(prose)


def _call(task: Task | None, calls: tuple[ToolCall, ...]) -> GateAnswer:
    if task is None:
        return "abort" if any(call.malformed is not None for call in calls) else "commit"
    if any(tool_call_error(task, call) for call in calls):
        return "abort"
    tools = [task.tool(call.name) for call in calls]
    high = task.stakes == "high" or any(tool is not None and tool.stakes == "high" for tool in tools)
    return "undecided" if high else "commit"


@dataclass(frozen=True, slots=True)
class _PrefixLogprob:
    threshold: float
    tokens: int
    wants_logprobs: bool = True

    def __call__(self, prefix: Prefix) -> GateAnswer:
        found = prefix.logprobs[: self.tokens]
        enough = len(found) == self.tokens or (prefix.done and found)
        if not enough or not all(map(math.isfinite, found)):
            return "undecided"
        return "commit" if math.fsum(found) / len(found) >= self.threshold else "abort"


def prefix_logprob(threshold: float, tokens: int = 16) -> Gate:
    """Commits to a draft whose first tokens the model was sure of, and closes one whose first tokens it was not.

    Where the backend gives no log probabilities it stays undecided, and the draft is judged at its end. The threshold
    is the user's own: log probabilities of different models do not compare.

    Args:
        threshold: The mean natural logarithm of the tokens' probabilities from which on the draft is shown, zero or
            less.
        tokens: How many tokens are read; all of them, where the draft has fewer.

    Raises:
        ConfigError: The threshold is above zero, or `tokens` not above zero.
    """
    if not threshold <= 0:
        raise ConfigError(
            f"threshold={threshold!r} must be a natural logarithm of a probability, zero or less: "
            "math.log(0.8) is -0.22",
            setting="threshold",
            value=threshold,
        )
    check_figure("tokens", tokens, whole=True)
    return _PrefixLogprob(threshold, tokens)


def wants_logprobs(gate: Gate | None) -> bool:
    """Whether a gate has to be given the tokens' log probabilities."""
    return getattr(gate, "wants_logprobs", False)
