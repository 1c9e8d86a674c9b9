"""What the three coding agents share: a copy of the repository, a sandbox, tools, prompts, evidence and the policy."""

from tierwise_examples.coding.bugs import Bug, seeded_bugs
from tierwise_examples.coding.command import main
from tierwise_examples.coding.edits import PatchError
from tierwise_examples.coding.prompts import Plan
from tierwise_examples.coding.repair import Repair
from tierwise_examples.coding.sandbox import Limits, Sandbox, SandboxError, open_sandbox
from tierwise_examples.coding.testrun import TestRun
from tierwise_examples.coding.workspace import Workspace, WorkspaceError

__all__ = [
    "Bug",
    "Limits",
    "PatchError",
    "Plan",
    "Repair",
    "Sandbox",
    "SandboxError",
    "TestRun",
    "Workspace",
    "WorkspaceError",
    "main",
    "open_sandbox",
    "seeded_bugs",
]
