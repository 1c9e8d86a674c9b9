"""What a model may do to look around: plain functions over the copy, whose answers are short."""

from __future__ import annotations

from collections.abc import Callable

from tierwise_examples.coding.source import find, lines
from tierwise_examples.coding.workspace import Workspace, WorkspaceError

__all__ = ["ERROR", "toolbox"]

ERROR = "Error:"
"""How the answer to a wrong call begins."""

_MOST = 1_500
"""Characters of an answer."""


def toolbox(workspace: Workspace) -> list[Callable[..., str]]:
    """The tools over a copy of a repository. Each gives a text, also where it was called wrongly.

    Args:
        workspace: The copy.
    """

    def list_files() -> str:
        """List the Python files of the repository."""
        return _short("\n".join(workspace.files()))

    def read_function(file: str, name: str) -> str:
        """Read the source code of one function.

        Args:
            file: The file, for example cart.py
            name: The function, for example total
        """
        try:
            source = workspace.read(file)
        except WorkspaceError as error:
            return f"{ERROR} {error}"
        found = find(source, name)
        return _short(found.text(source)) if found else f"{ERROR} {file} has no function {name!r}"

    def grep(pattern: str) -> str:
        """Find the lines that contain a text.

        Args:
            pattern: The text to look for
        """
        hits = [
            f"{file}:{number}: {line.strip()}"
            for file in workspace.files()
            for number, line in enumerate(lines(workspace.read(file)), start=1)
            if pattern in line
        ]
        return _short("\n".join(hits)) or "no line contains it"

    def run_tests() -> str:
        """Run the tests and tell what fails."""
        run = workspace.run_tests()
        return _short(f"{run.summary}\n{run.excerpt()}")

    return [list_files, read_function, grep, run_tests]


def _short(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 1] + "…"
