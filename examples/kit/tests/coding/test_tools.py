from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tierwise_examples.coding.sandbox import Sandbox
from tierwise_examples.coding.tools import toolbox
from tierwise_examples.coding.workspace import Workspace


@pytest.fixture
def tools(sandbox: Sandbox, repository: Path) -> Iterator[dict[str, Callable[..., str]]]:
    (repository / "long.py").write_text("\n".join(f"number_{n} = {n}" for n in range(1_000)))
    (repository.parent / "secret.py").write_text("def key():\n    return 'hunter2'\n")
    (repository / "link.py").symlink_to(repository.parent / "secret.py")
    with Workspace.copy(repository, sandbox) as workspace:
        yield {tool.__name__: tool for tool in toolbox(workspace)}


def test_every_tool_says_what_it_is_for(tools: dict[str, Callable[..., str]]) -> None:
    assert list(tools) == ["list_files", "read_function", "grep", "run_tests"]
    assert all(tool.__doc__ for tool in tools.values())


def test_they_look_around(tools: dict[str, Callable[..., str]]) -> None:
    assert tools["list_files"]() == "code_.py\nlong.py\ntest_code.py"
    assert tools["read_function"]("code_.py", "double").startswith("def double(number: int)")
    assert tools["grep"]("number + 2") == "code_.py:3: return number + 2"
    assert "fails with" in tools["run_tests"]()


def test_answers_are_short(tools: dict[str, Callable[..., str]]) -> None:
    assert len(tools["grep"]("number")) == 1_500


@pytest.mark.parametrize(
    ("file", "name"), [("nothing.py", "x"), ("link.py", "key"), ("../secret.py", "key"), ("code_.py", "triple")]
)
def test_what_is_not_there_is_said(tools: dict[str, Callable[..., str]], file: str, name: str) -> None:
    answer = tools["read_function"](file, name)
    assert answer.startswith("Error: ")
    assert "hunter2" not in answer
