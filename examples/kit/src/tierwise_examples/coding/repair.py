"""One bug, from the failing test to the proof. The framework calls the models; everything else is here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tierwise.ids import new_id
from tierwise.ledger.receipt import Receipt
from tierwise.limits.base import Limit
from tierwise.router import Router
from tierwise.strategies.cascade import Cascade

from tierwise_examples.coding import prompts
from tierwise_examples.coding.edits import PatchError, patched
from tierwise_examples.coding.evidence import evidence
from tierwise_examples.coding.policy import policy
from tierwise_examples.coding.prompts import Plan
from tierwise_examples.coding.testrun import TestRun
from tierwise_examples.coding.tools import toolbox
from tierwise_examples.coding.workspace import Workspace, WorkspaceError
from tierwise_examples.ladders import Ladder

__all__ = ["MOST_TOKENS", "Repair"]

MOST_TOKENS = {"plan": 200, "look": 60, "patch": 400}
"""The longest answer of each stage: a small model does not always find its end."""

_MOST_CALLS = 6


class Repair:
    """One bug in a copy of a repository.

    The stages: `plan_prompt`, answered by a `Plan`; `look_prompt`, answered by one call of a tool; `patch_prompt`,
    answered by the corrected function; `take`, which is the proof. They are the tasks' jobs: `plan`, `look`, `patch`.

    Args:
        workspace: The copy.
        ladder: The models.
        session: The name under which the calls stand in the ledger.
        limits: What may refuse a call, e.g. a `Budget`.
        **options: Further arguments of the `Router`, e.g. `backends`.
    """

    Plan = Plan

    def __init__(
        self,
        workspace: Workspace,
        ladder: Ladder,
        *,
        session: str | None = None,
        limits: Sequence[Limit] = (),
        **options: Any,
    ) -> None:
        self.workspace = workspace
        self.ladder = ladder
        self.session = session or f"repair-{new_id()}"
        self.failure = workspace.run_tests()
        self.proof: TestRun | None = None
        self.plan: Plan | None = None
        own: dict[str, Any] = {"max_calls": _MOST_CALLS, "limits": limits}
        verifier = evidence(workspace, self._try, self.failure)
        self.router = Router(ladder.fleet(), policy=policy(ladder), strategy=Cascade(verifier), **(own | options))

    @property
    def tools(self) -> list[Callable[..., str]]:
        """What a model may call to look around: `list_files`, `read_function`, `grep`, `run_tests`."""
        return toolbox(self.workspace)

    @property
    def solved(self) -> bool:
        """Whether the accepted patch makes the failing tests pass and breaks none."""
        return self.proof is not None and self.proof.proves(self.failure)

    def task(self, job: str) -> dict[str, Any]:
        """The fields of a stage's task, for an adapter's `task=`: job, session, longest answer.

        Args:
            job: `plan`, `look` or `patch`.
        """
        return {"job": job, "session": self.session, "max_output_tokens": MOST_TOKENS[job]}

    def plan_prompt(self) -> str:
        """Asks where the bug is."""
        return prompts.plan_prompt(self.workspace, self.failure)

    def look_prompt(self, plan: Plan) -> str:
        """Asks for one call of a tool."""
        return prompts.look_prompt(plan)

    def patch_prompt(self, plan: Plan, evidence: str = "") -> str:
        """Asks for the corrected function.

        Args:
            plan: Where the bug is thought to be.
            evidence: What the tools gave.
        """
        self.plan = plan
        return prompts.patch_prompt(self.workspace, self.failure, plan, evidence)

    def take(self, text: str) -> TestRun:
        """Puts a patch into the copy and runs the tests. A patch that proves nothing is taken out again.

        Args:
            text: What the model wrote.
        """
        try:
            changed = patched(self.workspace, text, self.plan)
        except (PatchError, WorkspaceError) as error:
            self.proof = TestRun.refused(f"no patch: {error}")
            return self.proof
        before = {file: self.workspace.read(file) for file in changed}
        self.workspace.write(changed)
        self.proof = self.workspace.run_tests()
        if not self.solved:
            self.workspace.write(before)
        return self.proof

    def receipt(self) -> Receipt:
        """The bill of all stages.

        Raises:
            LedgerError: No call was made.
        """
        return self.router.receipt(session=self.session)

    def _try(self, text: str) -> TestRun:
        try:
            return self.workspace.run_tests(patched(self.workspace, text, self.plan))
        except (PatchError, WorkspaceError) as error:
            return TestRun.refused(f"no patch: {error}")
