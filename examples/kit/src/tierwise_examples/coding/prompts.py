"""What the models are asked. Short: small models read slowly, and forget the beginning of what is long.

Each prompt has a line of its own, by which a person, and a scripted provider, tells the stages apart. The shapes were
found by trial on the embedded models. A model of half a billion parameters mends a function if it sees the function
first, one failing line after it and nothing else; asked to be brief, it copies the function as it is.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from tierwise_examples.coding.source import constants, definitions, find
from tierwise_examples.coding.testrun import Failure, TestRun
from tierwise_examples.coding.tools import ERROR
from tierwise_examples.coding.workspace import Workspace

__all__ = ["LOOK", "PATCH", "PLAN", "Plan", "look_prompt", "patch_prompt", "plan_prompt"]

PLAN = "A test fails. Find the function with the bug."
LOOK = "Call one tool to read the code of the bug."
PATCH = "This Python function has a bug:"

_MOST_EVIDENCE = 900
"""Characters of what the tools gave."""
_MOST_FAILURES = 2
_MOST_OUTLINE = 1_200
"""Characters."""


class Plan(BaseModel):
    """Where the bug is, and what it is.

    No part may run on, and nothing may come after the last: a small model does not always find its end.
    """

    model_config = ConfigDict(extra="forbid")

    file: str = Field(max_length=100, description="the file with the bug")
    function: str = Field(max_length=80, description="the function with the bug")
    cause: str = Field(max_length=300, description="what is wrong, in at most ten words")


def plan_prompt(workspace: Workspace, failure: TestRun) -> str:
    """Asks which function is wrong, and why."""
    return (
        f"{PLAN}\n\n{_failing(workspace, failure)}\n\nFiles and their functions:\n{_outline(workspace, failure)}\n\n"
        "Answer with file, function and cause. The test itself is right."
    )


def look_prompt(plan: Plan) -> str:
    """Asks for one call of a tool."""
    return f'{LOOK}\n\nFor example: read_function(file="{plan.file}", name="{plan.function}")'


def patch_prompt(workspace: Workspace, failure: TestRun, plan: Plan, evidence: str) -> str:
    """Asks for the corrected function.

    Args:
        workspace: The copy.
        failure: What fails.
        plan: Where the bug is thought to be.
        evidence: What the tools gave.
    """
    code = _code(workspace, plan)
    seen = textwrap.dedent(evidence).strip()[:_MOST_EVIDENCE]
    # What tells nothing new does harm: a small model loses its way over it.
    beside = f"Beside it:\n\n{seen}\n\n" if seen and seen not in code and not seen.startswith(ERROR) else ""
    return (
        f"{PATCH}\n\n```python\n{code}\n```\n\n{beside}{_failing(workspace, failure)}\n\n"
        "Write the corrected function in one Python block."
    )


def _failing(workspace: Workspace, run: TestRun) -> str:
    """The tests that fail: one line each, and the whole test where the line alone does not tell what went before."""
    shown = run.failures[:_MOST_FAILURES]
    return "\n\n".join(_told(workspace, failure) for failure in shown) or run.excerpt()


def _told(workspace: Workspace, failure: Failure) -> str:
    test = find(workspace.read(failure.file), failure.test) if failure.file in workspace.files() else None
    if test is None or isinstance(test.node, ast.ClassDef) or len(test.node.body) == 1:
        return str(failure)
    return f"```python\n{textwrap.dedent(test.text(workspace.read(failure.file))).rstrip()}\n```\n\n{failure}"


def _code(workspace: Workspace, plan: Plan) -> str:
    """The function that a plan names, with the constants that it uses; the whole file if it has no such function."""
    if plan.file not in workspace.files():
        return f"# There is no file {plan.file}."
    source = workspace.read(plan.file)
    found = find(source, plan.function)
    if found is None:
        return source.rstrip()
    own = textwrap.dedent(found.text(source)).rstrip()
    return "\n\n".join(filter(None, [constants(source, own), own]))


def _outline(workspace: Workspace, run: TestRun) -> str:
    """The functions, those of files that the failing tests speak of first, as many as there is room for."""
    named = {failure.file for failure in run.failures}
    tests = " ".join(workspace.read(file) for file in workspace.files() if file in named)
    files = sorted(workspace.files(tests=False), key=lambda file: (PurePosixPath(file).stem not in tests, file))
    text = "\n".join(line for file in files for line in _functions(file, workspace.read(file)))
    return text if len(text) <= _MOST_OUTLINE else text[:_MOST_OUTLINE].rsplit("\n", 1)[0]


def _functions(file: str, source: str) -> Iterator[str]:
    """A file's name, and a line for each of its functions."""
    yield f"{file}:"
    for definition in definitions(source):
        if not isinstance(definition.node, ast.ClassDef):
            told = (ast.get_docstring(definition.node) or "").partition("\n")[0]
            yield f"- {definition.name}: {told}" if told else f"- {definition.name}"
