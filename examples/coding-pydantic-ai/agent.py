"""A coding agent: three small agents plan, look and patch in turn. The test run decides whose patch is taken.

    python agent.py --bug 01

What to change first: the agents of `fix`; which tier does what stands in the policy of `tierwise_examples.coding`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.exceptions import UnexpectedModelBehavior
from tierwise.errors import RejectedError
from tierwise_examples.coding import Plan, Repair, main
from tierwise_pydantic_ai import RoutedModel

FAILURES = (UnexpectedModelBehavior,)
"""That Pydantic AI gives up is a result too."""


def agent(repair: Repair, job: str, output: Any) -> Agent[None, Any]:
    """An agent whose requests are routed by its job. What fails goes up a tier, and is not tried again by the agent."""
    return Agent(RoutedModel(repair.router, task=repair.task(job)), output_type=output, retries=0)


def looks(repair: Repair) -> Sequence[ToolOutput[str]]:
    """The tools, as the outputs of an agent: what the called one gives is the end, no model has to say that it read."""
    return [ToolOutput(tool, name=tool.__name__) for tool in repair.tools]


def fix(repair: Repair) -> None:
    """Works on one bug, and hands the patch to the repair."""
    plan: Plan = agent(repair, "plan", NativeOutput(Plan)).run_sync(repair.plan_prompt()).output
    try:
        seen = agent(repair, "look", looks(repair)).run_sync(repair.look_prompt(plan)).output
    except (RejectedError, UnexpectedModelBehavior):  # no tier made a call that makes sense: the patch does without
        seen = ""
    repair.take(agent(repair, "patch", str).run_sync(repair.patch_prompt(plan, seen)).output)


if __name__ == "__main__":
    main(fix, FAILURES)
