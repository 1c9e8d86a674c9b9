"""Policies that read where a task stands: high stakes, a step that plans or acts, what went wrong one step before."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from tierwise.context import Context, Decision
from tierwise.flow import Flow
from tierwise.gates import act_only
from tierwise.messages import Message
from tierwise.policies.base import Policy, PolicyLike, as_policy
from tierwise.task import Task

__all__ = ["ActStep", "AfterError", "HighStakes", "PlanStep"]

_PLANNING = frozenset(["planner", "planners", "planning", "replan", "replanner", "replanning"])
_PLAN = frozenset(["plan", "plans"])
_EXECUTING = frozenset(["execute", "executes", "executing", "execution", "executor", "run", "runs", "runner"])
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[a-z]+")


class HighStakes(Policy):
    """Starts a task with `stakes="high"` at a high tier. Abstains on all others.

    Args:
        tier: The tier; the top of the ladder by default.
    """

    def __init__(self, tier: str | None = None) -> None:
        self._tier = tier

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        if task.stakes != "high":
            return None
        return Decision(self._tier or context.fleet.ladder[-1].name, rule="high stakes", reason="stakes are high")

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return () if self._tier is None else (self._tier,)


class AfterError(Policy):
    """Starts one tier higher after a failed tool result or a validation retry: the tier before has had its chance.

    Higher than the tier that last answered in this session; than the lowest, where there is no session. Abstains where
    the last step did not fail.
    """

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        failed = _failed(task)
        if failed is None:
            return None
        kept = context.state.session_tier(task.session) if task.session else None
        before = kept[0] if kept else context.fleet.ladder[0].name
        what = f"tool {failed.name!r} failed" if failed.role == "tool" else "the answer was sent back for a retry"
        return Decision(context.above(before).name, rule="after error", reason=f"{what}, after tier {before}")


class PlanStep(Policy):
    """Starts a step that plans at a high tier. Abstains on all others.

    A step plans if its job, its node or the agent's role says so in a word of its name (`plan`, `planner`, `planning`,
    `replan`), as in `make_plan` or `Trip Planner`; what executes a plan (`execute_plan`) does not. Its decision is
    firm: the tier of a session does not overrule it.

    Args:
        tier: The tier; the top of the ladder by default.
        first: Take the first step of an agent with tools for one that plans too: a task with tools of which none has
            been called since the user's last message.
    """

    def __init__(self, tier: str | None = None, *, first: bool = False) -> None:
        self._tier = tier
        self._first = first

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        why = _plans(task) or ("the first step of an agent plans" if self._first and _begins(task) else None)
        if why is None:
            return None
        return Decision(self._tier or context.fleet.ladder[-1].name, rule="plan step", reason=why, firm=True)

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return () if self._tier is None else (self._tier,)


class ActStep(Policy):
    """After a tool's result a small tier acts, and what it would write is left to the tier that answers.

    The small tier may go on calling tools: a valid call is taken, and costs one call. As soon as it writes prose it is
    stopped, and the answering tier is asked (`act_only`, as the decision's gate). A typed answer, by a tool or as JSON,
    is a matter of shape, and is no prose.

    On all other steps, and where the answering tier is no higher than the one that acts, it decides as `answering`
    does. So it does after a tool that failed (see `AfterError`), where the stakes are high, and where the task offers
    no tools. Its decision is firm: the tier of a session does not overrule it.

    Args:
        answering: The policy that names the answering tier: who would try first without this rule. Where it abstains,
            and without one, the answering tier is the next higher one.
        tier: The tier that acts; the lowest by default.
        prose: Characters of text that may come before a call, as in "Let me look that up."

    Raises:
        ConfigError: `prose` is below zero.
    """

    def __init__(self, answering: PolicyLike | None = None, *, tier: str | None = None, prose: int = 0) -> None:
        self._answering = Policy() if answering is None else as_policy(answering)
        self._tier = tier
        self._gate = act_only(prose=prose)

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        return self._acting(self._answering.decide(task, context), task, context)

    def flow(self, task: Task, context: Context) -> Flow[Decision | None]:
        """See `Policy`."""
        return self._acting((yield from self._answering.flow(task, context)), task, context)

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return [*self._answering.refs(), *([] if self._tier is None else [self._tier])]

    def model_refs(self) -> Iterable[str]:
        """See `Policy`."""
        return self._answering.model_refs()

    def _acting(self, wanted: Decision | None, task: Task, context: Context) -> Decision | None:
        if not _acts(task) or (wanted is not None and wanted.pending):
            return wanted
        fleet = context.fleet
        tier = self._tier or fleet.ladder[0].name
        answering = context.above(tier).name if wanted is None else wanted.tier
        if fleet.rank(answering) <= fleet.rank(tier):
            return wanted
        reason = f"after a tool's result {tier} acts, and {answering} writes"
        return Decision(tier, rule="act step", reason=reason, gate=self._gate, then=answering, firm=True)


def _plans(task: Task) -> str | None:
    for field, name in (("job", task.job), ("node", task.node), ("role", task.role)):
        if name and _says_plan(name):
            return f"{field} {name!r} plans"
    return None


@lru_cache(maxsize=256)
def _says_plan(name: str) -> bool:
    words = frozenset(_WORD.findall(_HUMP.sub(" ", name).lower()))
    return bool(words & _PLANNING) or (bool(words & _PLAN) and not words & _EXECUTING)


def _begins(task: Task) -> bool:
    """True of a task with tools of which none has been called in this turn.

    A tool that stands for a typed output, and must be called, is no agent's.
    """
    if len(task.tools) <= task.tools_required:
        return False
    for message in reversed(task.messages):
        if message.tool_calls or message.role == "tool":
            return False
        if message.role == "user" and not message.failed:
            return True
    return True


def _acts(task: Task) -> bool:
    return task.last.role == "tool" and bool(task.tools) and task.stakes != "high" and _failed(task) is None


def _failed(task: Task) -> Message | None:
    """The last step's failed message. The results of tools that were called side by side are one step."""
    for message in reversed(task.messages):
        if message.failed and message.role in ("tool", "user"):
            return message
        if message.role != "tool":
            return None
    return None
