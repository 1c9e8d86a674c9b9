import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from tierwise_examples.coding.sandbox import Sandbox
from tierwise_examples.coding.tree import read_bytes, replace_bytes
from tierwise_examples.coding.workspace import Workspace, WorkspaceError, is_test

Make: TypeAlias = Callable[[Mapping[str, str]], Path]


@pytest.mark.parametrize(
    ("file", "tests"),
    [("test_a.py", True), ("conftest.py", True), ("a_test.py", True), ("tests/help.py", True), ("contest.py", False)],
)
def test_files_of_tests_are_known(file: str, tests: bool) -> None:
    assert is_test(file) is tests


def test_a_copy_is_worked_on_and_the_original_stays(sandbox: Sandbox, repository: Path) -> None:
    before = (repository / "code_.py").read_text()
    with Workspace.copy(repository, sandbox) as workspace:
        assert workspace.files() == ["code_.py", "test_code.py"]
        assert workspace.files(tests=False) == ["code_.py"]
        failing = workspace.run_tests()
        assert (failing.passed, failing.green) == (False, 1)
        workspace.write({"code_.py": before.replace("number + 2", "number * 2")})
        assert workspace.run_tests().proves(failing)
        assert "-    return number + 2\n+    return number * 2\n" in workspace.diff()
        copy = workspace.root
    assert not copy.exists()
    assert (repository / "code_.py").read_text() == before


def test_tests_can_be_run_with_other_texts(sandbox: Sandbox, repository: Path) -> None:
    with Workspace.copy(repository, sandbox) as workspace:
        text = workspace.read("code_.py").replace("number + 2", "number * 2")
        assert workspace.run_tests({"code_.py": text}).passed
        assert workspace.diff() == ""


def test_apply_writes_what_was_changed(sandbox: Sandbox, repository: Path) -> None:
    (repository / "code_.py").chmod(0o640)
    with Workspace.copy(repository, sandbox) as workspace:
        workspace.write({"code_.py": "x = 1\n"})
        assert workspace.apply() == ["code_.py"]
    assert (repository / "code_.py").read_text() == "x = 1\n"
    assert (repository / "code_.py").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in repository.iterdir()) == ["code_.py", "test_code.py"]


def test_apply_does_not_write_over_other_changes(sandbox: Sandbox, repository: Path) -> None:
    with Workspace.copy(repository, sandbox) as workspace:
        workspace.write({"code_.py": "x = 1\n"})
        (repository / "code_.py").write_text("x = 2\n")
        with pytest.raises(WorkspaceError, match="was changed since it was copied"):
            workspace.apply()
    assert (repository / "code_.py").read_text() == "x = 2\n"


def test_tests_are_not_written_to(sandbox: Sandbox, repository: Path) -> None:
    with Workspace.copy(repository, sandbox) as workspace:
        with pytest.raises(WorkspaceError, match=r"'test_code\.py' belongs to the tests"):
            workspace.write({"code_.py": "x = 1\n", "test_code.py": ""})
        assert workspace.diff() == ""


@pytest.mark.parametrize("file", ["../secret.py", "/etc/passwd", "nothing.py", "", ".", "a/../../secret.py"])
def test_no_path_leads_out(sandbox: Sandbox, repository: Path, file: str) -> None:
    (repository.parent / "secret.py").write_text("hunter2")
    with Workspace.copy(repository, sandbox) as workspace:
        with pytest.raises(WorkspaceError):
            workspace.read(file)
        with pytest.raises(WorkspaceError):
            workspace.write({file: "planted"})
    assert (repository.parent / "secret.py").read_text() == "hunter2"


@pytest.mark.parametrize("file", ["../secret.py", "/etc/passwd", "", "folder/secret.py", "link.py"])
def test_no_part_of_a_path_may_be_a_link(tmp_path: Path, file: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.py").write_text("hunter2")
    (root / "folder").symlink_to(outside)
    (root / "link.py").symlink_to(outside / "secret.py")
    with pytest.raises(WorkspaceError, match="is no plain file below"):
        read_bytes(root, file)
    with pytest.raises(WorkspaceError, match="is no plain file below"):
        replace_bytes(root, file, b"planted")
    assert (outside / "secret.py").read_text() == "hunter2"


def test_links_and_pipes_are_not_copied(sandbox: Sandbox, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("hunter2")
    (repository / "link.py").symlink_to(tmp_path / "secret.py")
    (repository / "folder").symlink_to(tmp_path)
    (repository / "dangling.py").symlink_to(tmp_path / "nothing")
    os.mkfifo(repository / "pipe.py")
    with Workspace.copy(repository, sandbox) as workspace:
        assert workspace.files() == ["code_.py", "test_code.py"]
        assert sorted(workspace.skipped) == ["dangling.py", "folder", "link.py", "pipe.py"]
        assert sorted(path.name for path in workspace.root.iterdir()) == ["code_.py", "test_code.py"]


def test_a_file_that_becomes_a_link_is_not_written_through(sandbox: Sandbox, repository: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text((repository / "code_.py").read_text())
    with Workspace.copy(repository, sandbox) as workspace:
        workspace.write({"code_.py": "planted"})
        (repository / "code_.py").unlink()
        (repository / "code_.py").symlink_to(secret)
        with pytest.raises(WorkspaceError, match="is no plain file below"):
            workspace.apply()
    assert "planted" not in secret.read_text()


def test_another_name_of_a_file_keeps_its_text(sandbox: Sandbox, repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.hardlink_to(repository / "code_.py")
    before = other.read_text()
    with Workspace.copy(repository, sandbox) as workspace:
        workspace.write({"code_.py": "x = 1\n"})
        workspace.apply()
    assert (repository / "code_.py").read_text() == "x = 1\n"
    assert other.read_text() == before


def test_line_ends_are_kept(sandbox: Sandbox, repository: Path) -> None:
    (repository / "code_.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    with Workspace.copy(repository, sandbox) as workspace:
        workspace.write({"code_.py": workspace.read("code_.py").replace("2", "3")})
        workspace.apply()
    assert (repository / "code_.py").read_bytes() == b"x = 1\r\ny = 3\r\n"


def test_what_is_no_text_is_said(sandbox: Sandbox, repository: Path) -> None:
    (repository / "code_.py").write_bytes(b"x = '\xe4'")
    with (
        Workspace.copy(repository, sandbox) as workspace,
        pytest.raises(WorkspaceError, match=r"'code_\.py' is not in UTF-8"),
    ):
        workspace.read("code_.py")


def test_a_large_repository_is_refused(sandbox: Sandbox, repository: Path) -> None:
    (repository / "large.bin").write_bytes(b"x" * (17 << 20))
    with (
        pytest.raises(WorkspaceError, match="more than 2,000 files or 16 MB"),
        Workspace.copy(repository, sandbox),
    ):
        pass


def test_what_is_no_folder_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="is no folder"), Workspace.copy(tmp_path / "nothing", sandbox):
        pass


def test_environments_and_histories_are_left_out(sandbox: Sandbox, make: Make) -> None:
    folder = make({"a.py": "", ".git/hooks/x.py": "", ".venv/lib/y.py": "", "__pycache__/z.py": "", "pkg/b.py": ""})
    with Workspace.copy(folder, sandbox) as workspace:
        assert workspace.files() == ["a.py", "pkg/b.py"]
