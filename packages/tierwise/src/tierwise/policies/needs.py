"""A task that needs a capability goes where it is known to be had."""

from __future__ import annotations

from collections.abc import Iterable

from tierwise.context import Context, Decision
from tierwise.fleet.model import Capability
from tierwise.policies.base import Policy
from tierwise.task import Task

__all__ = ["Needs"]


class Needs(Policy):
    """Sends a task that needs a capability to the lowest tier with a model that is known to have it.

    What a task needs is read off the task: tools if it offers any, JSON schemas if it asks for a typed output, vision
    if it holds an image. Abstains on a task that needs nothing of that, and where no model is known to have all it
    needs: what is not known of a model is neither a yes nor a no.

    Args:
        tools: Look for tools.
        json_schema: Look for a typed output.
        vision: Look for images.
        logprobs: Every task needs log probabilities (for `Logprob`); no task says so by itself.
        tier: Where such tasks go, whatever is known of its models.

    Tools, typed outputs and images are all looked for if none of the four is named.
    """

    def __init__(
        self,
        *,
        tools: bool = False,
        json_schema: bool = False,
        vision: bool = False,
        logprobs: bool = False,
        tier: str | None = None,
    ) -> None:
        named = tools or json_schema or vision or logprobs
        self._tools = tools or not named
        self._json_schema = json_schema or not named
        self._vision = vision or not named
        self._logprobs = logprobs
        self._tier = tier

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        needed = self._needed(task)
        if not needed:
            return None
        reason = f"needs {' and '.join(needed)}"
        if self._tier is not None:
            return Decision(self._tier, rule="needs", reason=reason)
        for tier in context.ladder:
            able = next((m for m in tier.models if all(m.can(capability) for capability in needed)), None)
            if able is not None:
                model = None if able is tier.models[0] else able.key
                return Decision(tier.name, rule="needs", reason=f"{reason}; {able.key} has it", model=model)
        return None

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return () if self._tier is None else (self._tier,)

    def _needed(self, task: Task) -> list[Capability]:
        asked: dict[Capability, bool] = {
            "tools": self._tools and bool(task.tools),
            "json_schema": self._json_schema and task.output_schema is not None,
            "vision": self._vision and task.has_images,
            "logprobs": self._logprobs,
        }
        return [capability for capability, needed in asked.items() if needed]
