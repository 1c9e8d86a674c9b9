"""What the models are asked. Short: small models read slowly, and forget the beginning of what is long.

Each prompt opens with a line of its own, by which a person, and a scripted provider, tells the stages apart.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from tierwise_examples.coding.source import definitions
from tierwise_examples.coding.testrun import TestRun
from tierwise_examples.coding.workspace import Workspace

__all__ = ["LOOK", "PATCH", "PLAN", "Plan", "look_prompt", "patch_prompt", "plan_prompt"]

PLAN = "A test fails. Find the function with the bug."
LOOK = "Call one tool to read the code of the bug."
PATCH = "Fix the bug in this Python function."

_MOST_EVIDENCE = 900
"""Characters of what the tools gave."""


class Plan(BaseModel):
    """Where the bug is, and what it is."""

    file: str = Field(description="the file with the bug")
    function: str = Field(description="the function with the bug")
    cause: str = Field(description="what is wrong, in one short sentence")


def plan_prompt(workspace: Workspace, failure: TestRun) -> str:
    """Asks which function is wrong, and why."""
    outline = "\n".join(_outline(workspace, file) for file in workspace.files(tests=False))
    return (
        f"{PLAN}\n\nThe failing test:\n{failure.excerpt()}\n\nFiles and their functions:\n{outline}\n\n"
        "Answer with file, function and cause. The test itself is right."
    )


def look_prompt(plan: Plan) -> str:
    """Asks for one call of a tool."""
    return (
        f"{LOOK}\n\nThe bug is probably in the function {plan.function} of the file {plan.file}.\n"
        f"Call read_function with the file and the function's name."
    )


def patch_prompt(workspace: Workspace, failure: TestRun, plan: Plan, code: str, evidence: str) -> str:
    """Asks for the corrected function.

    Args:
        workspace: The repository.
        failure: What fails.
        plan: Where the bug is thought to be.
        code: The function as it is.
        evidence: What the tools gave beside it.
    """
    seen = evidence.strip()[:_MOST_EVIDENCE]
    beside = f"\n\nSeen before:\n{seen}" if seen and code.strip() not in seen and seen not in code else ""
    return (
        f"{PATCH}\n\n```python\n{code}```\n\nThis test fails:\n{failure.excerpt()}{beside}\n\n"
        f"Hint: {plan.cause}\n\nWrite the whole corrected function in one Python block. No explanation."
    )


def _outline(workspace: Workspace, file: str) -> str:
    names = [d.name for d in definitions(workspace.read(file)) if not d.is_class]
    return f"{file}: {', '.join(names)}"
