"""Long requests go where there is room for them."""

from __future__ import annotations

from collections.abc import Iterable

from tierwise.context import Context, Decision
from tierwise.figures import check_figure
from tierwise.policies.base import Policy
from tierwise.task import Task

__all__ = ["LongerThan"]


class LongerThan(Policy):
    """Sends a task that is longer than a number of tokens to a tier, and abstains on all others.

    The length is that of all that is sent (`Task.estimated_tokens`): messages, images and tools.

    Args:
        tokens: The length, in tokens, up to which this policy abstains.
        tier: The tier, or specialist, for longer tasks.

    Raises:
        ConfigError: `tokens` is not above zero.
    """

    def __init__(self, tokens: int, *, tier: str) -> None:
        check_figure("tokens", tokens, whole=True)
        self._tokens = tokens
        self._tier = tier

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        length = task.estimated_tokens
        if length <= self._tokens:
            return None
        reason = f"about {length} tokens, more than {self._tokens}"
        return Decision(self._tier, rule="longer than", reason=reason, scores={"tokens": float(length)})

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return (self._tier,)
