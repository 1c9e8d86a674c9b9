"""An agent that turns in a circle goes up a tier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.figures import check_figure
from tierwise.flow import Flow
from tierwise.messages import Message, ToolCall
from tierwise.policies.base import Policy, PolicyLike, as_policy
from tierwise.policies.session import SessionAffinity
from tierwise.task import Task

__all__ = ["Stalled"]

_WINDOW = 64
"""Messages."""

Pair: TypeAlias = "tuple[ToolCall, Message]"
"""A tool's call and its result."""


class Stalled(Policy):
    """Goes one tier above what another policy decides, while an agent makes no progress.

    A step makes progress if a tool is called as it was not called before in this turn, or gives another result than it
    did then, and does not fail: polling a tool whose result changes is progress. An agent is stalled if its last step
    made none, and the same call has given the same result `repeats` times, or the last `steps` steps made none.

    It reads the messages since the user's last one, and of those the last 64: a decision takes as long for a long
    history as for a short one. It remembers nothing, so that it goes up one tier and no further however long the agent
    is stalled, and back where it makes progress. Its decision is firm: the tier of a session does not overrule it.

    Args:
        within: The policy that would decide otherwise; without one, the lowest tier would try.
        repeats: How often the same call gives the same result.
        steps: How many steps in a row make no progress.

    Raises:
        ConfigError: `repeats` is below two, `steps` is not above zero, or `within` keeps sessions: a session would keep
            the higher tier, and the next step go above that.
    """

    def __init__(self, within: PolicyLike | None = None, *, repeats: int = 2, steps: int = 3) -> None:
        if repeats < 2:
            raise ConfigError(f"repeats={repeats!r} must be two or more", setting="repeats", value=repeats)
        check_figure("steps", steps, whole=True)
        if isinstance(within, SessionAffinity):
            raise ConfigError(
                "Stalled(SessionAffinity(...)) would climb at every step: write SessionAffinity(Stalled(...))",
                setting="within",
                value=within,
            )
        self._within = Policy() if within is None else as_policy(within)
        self._repeats = repeats
        self._steps = steps

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        return self._raised(self._within.decide(task, context), task, context)

    def flow(self, task: Task, context: Context) -> Flow[Decision | None]:
        """See `Policy`."""
        return self._raised((yield from self._within.flow(task, context)), task, context)

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return self._within.refs()

    def model_refs(self) -> Iterable[str]:
        """See `Policy`."""
        return self._within.model_refs()

    def _raised(self, wanted: Decision | None, task: Task, context: Context) -> Decision | None:
        if task.last.role != "tool" or (wanted is not None and wanted.pending):
            return wanted
        why = self._why(task)
        if why is None:
            return wanted
        start = wanted or Decision(context.ladder[0].name)
        before = context.starting(start).climb(gated=True)[0].name
        above = context.above(before).name
        if context.fleet.rank(above) <= context.fleet.rank(before):
            return wanted
        rule = f"stalled, over {wanted.rule}" if wanted is not None and wanted.rule else "stalled"
        return Decision(above, rule=rule, reason=f"{why}: above {before}", firm=True)

    def _why(self, task: Task) -> str | None:
        """Why the agent is stalled; `None` if it is not."""
        window = task.messages[-_WINDOW:]
        if _says_something_new(window):
            return None
        steps = _steps(window)
        if not steps or _progress(steps):
            return None
        call, times = max(((pair[0], _times(pair, steps)) for pair in steps[0]), key=lambda found: found[1])
        if times >= self._repeats:
            return f"{_tool(task, call)} gave the same result {times} times"
        if len(steps) < self._steps or any(_progress(steps[i:]) for i in range(1, self._steps)):
            return None
        return f"{self._steps} steps without progress, the last a call of {_tool(task, call)}"


def _says_something_new(messages: Sequence[Message]) -> bool:
    """True if the last step got a result that no tool gave before: the usual case, told without pairing anything."""
    last = len(messages)
    while last and messages[last - 1].role == "tool":
        last -= 1
    # A list: to compare texts of different lengths costs nothing, to hash long ones does.
    known = [message.content for message in messages[:last] if message.role == "tool"]
    return any(not message.failed and message.content not in known for message in messages[last:])


def _steps(messages: Sequence[Message]) -> list[list[Pair]]:
    """What the steps of this turn called and got, the latest first; steps whose results are missing are left out."""
    steps: list[list[Pair]] = []
    results: list[Message] = []
    for message in reversed(messages):
        if message.role == "tool":
            results.append(message)
        elif message.tool_calls:
            pairs = [(call, result) for result in results if (call := _call(message, result)) is not None]
            steps += [pairs] if pairs else []
            results = []
        elif message.role == "user" and not message.failed:
            break
    return steps


def _call(message: Message, result: Message) -> ToolCall | None:
    """The call that a result answers: that of its id, or the first of its tool where ids are missing."""
    named = [c for c in message.tool_calls if c.id and c.id == result.tool_call_id]
    unnamed = [c for c in message.tool_calls if not (c.id and result.tool_call_id) and c.name == result.name]
    return next(iter([*named, *unnamed]), None)


def _progress(steps: Sequence[list[Pair]]) -> bool:
    """True if the first of these steps made progress over those after it, which came before."""
    return any(not result.failed and _times((call, result), steps[1:]) == 0 for call, result in steps[0])


def _times(pair: Pair, steps: Sequence[list[Pair]]) -> int:
    """In how many of the steps the same call gave the same result."""
    return sum(any(_same(pair, other) for other in step) for step in steps)


def _same(one: Pair, other: Pair) -> bool:
    (call, result), (earlier, before) = one, other
    return (
        call.name == earlier.name
        and result.content == before.content
        and result.images == before.images
        and call.arguments == earlier.arguments
        and call.malformed == earlier.malformed
    )


def _tool(task: Task, call: ToolCall) -> str:
    """The tool's name, where it is not a model's own invention."""
    return f"tool {call.name!r}" if task.tool(call.name) is not None else "a tool that is not offered"
