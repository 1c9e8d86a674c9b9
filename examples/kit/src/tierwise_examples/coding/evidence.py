"""What an answer stands on, stage by stage: names that exist, and for a patch the test run itself."""

from __future__ import annotations

from collections.abc import Callable

from tierwise.attempt import Outcome
from tierwise.context import Context
from tierwise.flow import Flow
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers import Check, Verifier, as_verifier, free_verifier

from tierwise_examples.coding.prompts import Plan
from tierwise_examples.coding.source import find
from tierwise_examples.coding.testrun import TestRun
from tierwise_examples.coding.workspace import Workspace
from tierwise_examples.typed import typed

__all__ = ["evidence"]


def evidence(workspace: Workspace, proof: Callable[[str], TestRun], failure: TestRun) -> Verifier:
    """The verifier of all stages; each part abstains on the jobs of the others.

    Args:
        workspace: The copy.
        proof: Puts a patch into a scratch copy and runs the tests there.
        failure: What failed before.
    """

    def names_exist(task: Task, outcome: Outcome) -> Verdict | None:
        """A plan, or a look, is about code that is there."""
        if task.job == "plan":
            plan = typed(Plan, outcome)
            if plan is None:
                return Verdict("reject", "it is no plan", conclusive=True)
            return _place(workspace, plan.file, plan.function)
        if task.job == "look" and outcome.tool_calls:
            return _called(workspace, outcome)
        return None

    def tests_pass(outcome: Outcome) -> Verdict:
        """A patch makes the failing tests pass, and breaks none."""
        run = proof(outcome.text)
        if run.proves(failure):
            return Verdict("accept", f"tests: {run.summary}", conclusive=True)
        return Verdict("reject", f"tests: {run.summary}\n{run.excerpt(300)}".strip(), conclusive=True)

    return free_verifier() & as_verifier(names_exist) & _OfPatches(tests_pass)


class _OfPatches(Check):
    """A check that is made of patches alone: it costs a run."""

    def flow(self, task: Task, outcome: Outcome, context: Context) -> Flow[Verdict]:
        """See `Verifier`."""
        if task.job != "patch":
            return self.abstain("no patch", quotes=False)
        return (yield from super().flow(task, outcome, context))


def _place(workspace: Workspace, file: str, function: str) -> Verdict:
    """Whether a file has a function."""
    if file not in workspace.files():
        return Verdict("reject", f"there is no file {file!r}", conclusive=True)
    if find(workspace.read(file), function) is None:
        return Verdict("reject", f"{file} has no function {function!r}", conclusive=True)
    return Verdict("accept", f"{file} has the function {function!r}")


def _called(workspace: Workspace, outcome: Outcome) -> Verdict | None:
    for call in outcome.tool_calls:
        if call.name == "read_function":
            verdict = _place(workspace, str(call.arguments.get("file", "")), str(call.arguments.get("name", "")))
            if verdict.rejected:
                return verdict
    return None
