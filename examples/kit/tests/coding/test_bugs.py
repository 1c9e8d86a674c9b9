"""Each bug can be mended, its tests bite, and nothing but them tells what is wrong."""

import re
from pathlib import Path

import pytest
from tierwise.errors import UnknownNameError
from tierwise_examples.coding import Bug, Workspace, seeded_bugs
from tierwise_examples.coding.bugs import find_bug
from tierwise_examples.coding.edits import patched
from tierwise_examples.coding.prompts import Plan, patch_prompt, plan_prompt
from tierwise_examples.coding.sandbox import Sandbox
from tierwise_examples.coding.source import definitions

FIXES = Path(__file__).parent / "fixes"
BUGS = pytest.mark.parametrize("bug", seeded_bugs(), ids=lambda bug: bug.name)


def test_there_are_eight_and_a_folder_for_each() -> None:
    names = [bug.name for bug in seeded_bugs()]
    folders = sorted(path.name for path in seeded_bugs()[0].path.parent.iterdir() if path.name[0].isdigit())
    assert names == folders == sorted(path.stem for path in FIXES.iterdir())
    assert len(names) == 8


def test_a_bug_is_found_by_the_beginning_of_its_name() -> None:
    assert find_bug("01") == find_bug(seeded_bugs()[0].name) == seeded_bugs()[0]
    with pytest.raises(UnknownNameError, match="09"):
        find_bug("09")


@BUGS
def test_its_tests_bite_and_the_fix_is_enough(sandbox: Sandbox, bug: Bug) -> None:
    fix = (FIXES / f"{bug.name}.md").read_text()
    with Workspace.copy(bug.path, sandbox) as workspace:
        before = workspace.run_tests()
        assert not before.passed
        assert before.green >= 3
        assert 1 <= len(before.failures) == before.red <= 2
        after = workspace.run_tests(patched(workspace, fix))
        assert after.proves(before)


@BUGS
def test_no_part_of_the_fix_can_be_left_out(sandbox: Sandbox, bug: Bug) -> None:
    blocks = re.findall(r"```python.*?```", (FIXES / f"{bug.name}.md").read_text(), re.DOTALL)
    parts = [part for block in blocks for part in _methods(block)]
    with Workspace.copy(bug.path, sandbox) as workspace:
        before = workspace.run_tests()
        for left_out in parts if len(parts) > 1 else []:
            rest = "\n\n".join(part for part in parts if part is not left_out)
            assert not workspace.run_tests(patched(workspace, rest)).proves(before)
    assert len(parts) == (2 if bug.name >= "07" else 1)


@BUGS
def test_its_modules_read_like_real_ones(bug: Bug) -> None:
    for path in bug.path.glob("*.py"):
        text = path.read_text()
        assert "bug" not in text.lower()
        assert "fixme" not in text.lower()
        if not path.name.startswith("test_"):
            assert text.startswith('"""')
            assert len(definitions(text)) >= 4


@BUGS
def test_its_prompts_are_short(sandbox: Sandbox, bug: Bug) -> None:
    with Workspace.copy(bug.path, sandbox) as workspace:
        failure = workspace.run_tests()
        source = {d.name: file for file in workspace.files(tests=False) for d in definitions(workspace.read(file))}
        prompts = [plan_prompt(workspace, failure)]
        for name, file in source.items():
            plan = Plan(file=file, function=name, cause="")
            prompts.append(patch_prompt(workspace, failure, plan, ""))
    assert max(map(len, prompts)) < 2_400  # characters: some 600 tokens


def _methods(block: str) -> list[str]:
    """A block's functions, each in a block of its own, within its class."""
    code = block.removeprefix("```python\n").removesuffix("```")
    named = [d for d in definitions(code) if not d.is_class]
    return [
        f"```python\n{'class ' + d.name.partition('.')[0] + ':' if '.' in d.name else ''}\n{d.text(code)}```"
        for d in named
    ]
