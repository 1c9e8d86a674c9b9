"""A copy of a repository, in which an agent works. The original is read once, and written to on request only."""

from __future__ import annotations

import difflib
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tierwise_examples.coding.sandbox import Sandbox, open_sandbox
from tierwise_examples.coding.testrun import TestRun
from tierwise_examples.coding.tree import WorkspaceError, copy_tree, read_bytes, replace_bytes

__all__ = ["Workspace", "WorkspaceError", "is_test"]

_PYTEST = ("-m", "pytest", "-q", "--tb=short", "--no-header", "-p", "no:cacheprovider", "--color=no", "-rN")


def is_test(file: str) -> bool:
    """Whether a file belongs to the tests: those are read, and never written to."""
    path = PurePosixPath(file)
    return path.name.startswith(("test_", "conftest")) or path.stem.endswith("_test") or "tests" in path.parts[:-1]


class Workspace:
    """A copy of a repository. No link is in it, so no path in it leads elsewhere.

    Use `Workspace.copy`, which removes the copy in the end.

    Args:
        root: The copy.
        original: What it is a copy of.
        sandbox: Where tests run.
        skipped: What of the original is not in it: links, pipes and the like.
    """

    def __init__(self, root: Path, original: Path, sandbox: Sandbox, skipped: tuple[str, ...] = ()) -> None:
        self.root = root
        self.original = original
        self.sandbox = sandbox
        self.skipped = skipped
        self._before: dict[str, str] = {}

    @classmethod
    @contextmanager
    def copy(cls, original: Path | str, sandbox: Sandbox | None = None) -> Generator[Workspace]:
        """A copy for the time of a `with` block.

        Args:
            original: The repository's folder.
            sandbox: Where tests run; bubblewrap by default.

        Raises:
            SandboxError: There is no sandbox on this machine.
            WorkspaceError: The original is no folder, or too large.
        """
        place = sandbox or open_sandbox()
        top = Path(original).resolve()
        if not top.is_dir():
            raise WorkspaceError(f"{str(original)!r} is no folder: give a repository's", setting="path", value=original)
        with tempfile.TemporaryDirectory(prefix="tierwise-copy-") as folder:
            root = Path(folder, "repo")
            yield cls(root, top, place, tuple(copy_tree(top, root)))

    def files(self, *, tests: bool = True) -> list[str]:
        """The Python files, by their paths within the repository.

        Args:
            tests: Whether files of tests are among them.
        """
        found = sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*.py"))
        return found if tests else [file for file in found if not is_test(file)]

    def read(self, file: str) -> str:
        """The text of a file, with its own line ends.

        Raises:
            WorkspaceError: There is no such file in the repository, or it is not in UTF-8.
        """
        self._check(file)
        return _decoded(file, read_bytes(self.root, file))

    def write(self, changed: Mapping[str, str]) -> None:
        """Replaces the text of files that are there.

        Raises:
            WorkspaceError: A file is none of the repository, or belongs to the tests; nothing is written then.
        """
        for file in changed:
            self._check(file)
            if is_test(file):
                raise WorkspaceError(f"{file!r} belongs to the tests: change the code", setting="file", value=file)
        for file, text in changed.items():
            self._before.setdefault(file, self.read(file))
            replace_bytes(self.root, file, text.encode())

    def run_tests(self, changed: Mapping[str, str] | None = None) -> TestRun:
        """Runs the whole suite in the sandbox.

        Args:
            changed: Texts of files to run it with, in place of those that are there.
        """
        if not changed:
            return TestRun.of(self.sandbox.run(self.root, [sys.executable, *_PYTEST]))
        with Workspace.copy(self.root, self.sandbox) as scratch:
            scratch.write(changed)
            return scratch.run_tests()

    def diff(self) -> str:
        """What was changed, as a unified diff; empty if nothing was."""
        return "".join(_diff(file, before, self.read(file)) for file, before in sorted(self._before.items()))

    def apply(self) -> list[str]:
        """Writes what was changed to the original, and gives the files.

        Raises:
            WorkspaceError: A file of the original was changed in the meantime, or is a link by now; nothing is written
                then.
        """
        changed = {file: before for file, before in sorted(self._before.items()) if self.read(file) != before}
        for file, before in changed.items():
            if _decoded(file, read_bytes(self.original, file)) != before:
                raise WorkspaceError(
                    f"{file!r} was changed since it was copied: run the agent again", setting="file", value=file
                )
        for file in changed:
            replace_bytes(self.original, file, self.read(file).encode())
        return list(changed)

    def _check(self, file: str) -> None:
        if file not in self.files():
            raise WorkspaceError(
                f"{file!r} is no Python file of the repository: {', '.join(self.files()[:20])}",
                setting="file",
                value=file,
            )


def _decoded(file: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WorkspaceError(f"{file!r} is not in UTF-8: {error}", setting="file", value=file) from error


def _diff(file: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{file}", f"b/{file}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
