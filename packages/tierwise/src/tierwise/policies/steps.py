"""Policies that read where a task stands: high stakes, and what went wrong one step before."""

from __future__ import annotations

from collections.abc import Iterable

from tierwise.context import Context, Decision
from tierwise.policies.base import Policy
from tierwise.task import Message, Task

__all__ = ["AfterError", "HighStakes"]


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


def _failed(task: Task) -> Message | None:
    """The last step's failed message. The results of tools that were called side by side are one step."""
    for message in reversed(task.messages):
        if message.failed and message.role in ("tool", "user"):
            return message
        if message.role != "tool":
            return None
    return None
