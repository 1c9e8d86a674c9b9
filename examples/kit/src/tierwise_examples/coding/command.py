"""The command line of the coding agents."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tierwise.errors import ConfigError
from tierwise.ledger import MemoryLedger

from tierwise_examples.cli import Failures, ended, plain_errors, show_bill
from tierwise_examples.coding.bugs import find_bug, seeded_bugs
from tierwise_examples.coding.repair import Repair
from tierwise_examples.coding.sandbox import open_sandbox
from tierwise_examples.coding.workspace import Workspace
from tierwise_examples.ladders import Ladder, add_arguments, chosen

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Fix", "main", "repaired"]

Fix: TypeAlias = Callable[[Repair], object]
"""A framework's part: works on the repair, and hands the patch to `Repair.take`."""


def main(fix: Fix, failures: Failures = (), *, arguments: Sequence[str] | None = None) -> None:
    """Mends a bug from the command line, and prints plan, diff, proof and bill. Exits with 1 if it is not mended.

    Args:
        fix: The framework's part.
        failures: Exceptions of the framework which say that it gave up.
        arguments: Those of the command line; the process's own if not given.
    """
    from rich.console import Console

    asked = _parser().parse_args(arguments)
    console = Console()
    with plain_errors():
        folder = find_bug(asked.bug).path if asked.bug else Path(asked.path)
        sandbox = open_sandbox(unsafe=asked.unsafe)
        with chosen(asked) as ladder, Workspace.copy(folder, sandbox) as workspace:
            repair, why = repaired(fix, workspace, ladder, failures)
            _show(console, repair, why)
            if repair.solved:
                _apply(console, asked, workspace)
    if not repair.solved:
        raise SystemExit(1)


def repaired(fix: Fix, workspace: Workspace, ladder: Ladder, failures: Failures = ()) -> tuple[Repair, str]:
    """A repair that an agent has worked on, and why it gave up; the empty text if it did not.

    Args:
        fix: The framework's part.
        workspace: A copy of the repository.
        ladder: The models.
        failures: Exceptions of the framework which say that it gave up.

    Raises:
        ConfigError: The repository has no failing test.
    """
    repair = Repair(workspace, ladder, ledger=MemoryLedger(content=True))
    if repair.failure.passed:
        raise ConfigError(
            f"{str(workspace.original)!r}: no test fails ({repair.failure.summary}): write one that shows the bug",
            setting="path",
            value=str(workspace.original),
        )
    return repair, ended(fix, repair, failures)


def _parser() -> ArgumentParser:
    bugs = "; ".join(f"{bug.name}: {bug.title}" for bug in seeded_bugs())
    parser = ArgumentParser(description="Finds, mends and proves a bug, on a copy of the repository.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("path", nargs="?", help="a repository with a failing test")
    what.add_argument("--bug", help=f"one of the seeded bugs, by the beginning of its name ({bugs})")
    parser.add_argument("--apply", action="store_true", help="write the patch to the repository, if the tests pass")
    parser.add_argument("--unsafe", action="store_true", help="run what models write without a sandbox")
    add_arguments(parser)
    return parser


def _show(console: Console, repair: Repair, why: str) -> None:
    console.rule("Before", align="left")
    console.print(repair.failure.summary, markup=False)
    if repair.plan is not None:
        console.rule("The plan", align="left")
        console.print(f"{repair.plan.file}, {repair.plan.function}: {repair.plan.cause}", markup=False)
    console.rule("Mended" if repair.solved else "Not mended", align="left")
    console.print(repair.workspace.diff() or why or "no patch was accepted", markup=False, highlight=False)
    if repair.proof is not None:
        console.print(repair.proof.summary, markup=False)
    show_bill(console, repair.router, repair.ladder)


def _apply(console: Console, asked: Namespace, workspace: Workspace) -> None:
    if asked.apply:
        console.print(f"written: {', '.join(workspace.apply())}", markup=False)
    else:
        console.print("Nothing was written: --apply writes the patch to the repository.")
