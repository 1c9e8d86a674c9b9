"""What every coding agent has to do, over real HTTP against models that answer as told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import ClassVar, NamedTuple

import pytest
from pydantic import BaseModel

from tierwise_examples.billing import rows_of
from tierwise_examples.cli import Failures, failures_of
from tierwise_examples.coding.command import main, repaired
from tierwise_examples.coding.prompts import LOOK, PATCH, PLAN, Plan
from tierwise_examples.coding.repair import Repair
from tierwise_examples.coding.sandbox import Limits, open_sandbox
from tierwise_examples.coding.workspace import Workspace
from tierwise_examples.scripted import Call, Scripted, scripted

__all__ = ["CodingConformance"]

CODE = '''
def subtotal(prices: list[int]) -> int:
    """The price of all pieces."""
    return sum(prices)


def total(prices: list[int], shipping: int) -> int:
    """What the customer pays."""
    return subtotal(prices) - shipping
'''.lstrip()
TESTS = """
from cart import subtotal, total


def test_subtotal() -> None:
    assert subtotal([3, 4]) == 7


def test_total() -> None:
    assert total([3, 4], 2) == 9
""".lstrip()
SECRET = "def key() -> str:\n    return 'hunter2'\n"


def patch(value: str) -> str:
    """What a model writes for `total`."""
    return f"```python\ndef total(prices, shipping):\n    {value}\n```"


RIGHT = patch("return subtotal(prices) + shipping")
WRONG = patch("return subtotal(prices) * shipping")
ENDLESS = patch("while True: pass")
ELSEWHERE = "```python\ndef key():\n    return 'changed'\n```"
STAGES: Mapping[str, BaseModel | Call] = {
    PLAN: Plan(file="cart.py", function="total", cause="shipping is taken off"),
    LOOK: Call("read_function", {"file": "cart.py", "name": "total"}),
}


class Result(NamedTuple):
    """What an agent left."""

    repair: Repair
    why: str
    diff: str


class CodingConformance:
    """The suite. Its repository has one failing test, and a bug in one function."""

    agent: ClassVar[ModuleType]
    """The program, as `load_agent` gives it."""

    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        """A folder with the bug."""
        folder = tmp_path / "repository"
        folder.mkdir()
        (folder / "cart.py").write_text(CODE)
        (folder / "test_cart.py").write_text(TESTS)
        return folder

    def repaired(self, repository: Path, script: Scripted, limits: Limits | None = None) -> Result:
        """What the agent makes of the repository."""
        with Workspace.copy(repository, open_sandbox(limits=limits)) as workspace:
            repair, why = repaired(self.agent.fix, workspace, script.ladder, self.failures)
            return Result(repair, why, workspace.diff())

    def run(self, repository: Path, script: Scripted, *options: str) -> None:
        """Runs the program from its command line."""
        main(self.agent.fix, self.failures, arguments=[str(repository), *script.options, *options])

    @property
    def failures(self) -> Failures:
        """The framework's exceptions which say that the agent gave up."""
        return failures_of(self.agent)

    def test_an_easy_bug_is_mended_by_the_expected_tiers(self, repository: Path) -> None:
        with scripted({**STAGES, PATCH: RIGHT}) as script:
            result = self.repaired(repository, script)
        assert (result.repair.solved, result.why) == (True, "")
        assert "+    return subtotal(prices) + shipping\n" in result.diff
        assert script.tiers() == ["large", "small", "code"]
        assert (repository / "cart.py").read_text() == CODE

    def test_every_call_is_on_one_bill(self, repository: Path) -> None:
        with scripted({**STAGES, PATCH: RIGHT}) as script:
            repair = self.repaired(repository, script).repair
        calls = [row for row in repair.receipt().rows if row.purpose != "check"]
        assert [(row.job, row.tier) for row in calls] == [("plan", "large"), ("look", "small"), ("patch", "code")]
        assert rows_of(repair.router) == list(repair.receipt().rows)

    def test_what_a_tool_gave_reaches_who_writes_the_patch(self, repository: Path) -> None:
        looked = {**STAGES, LOOK: Call("read_function", {"file": "cart.py", "name": "subtotal"})}
        with scripted({**looked, PATCH: RIGHT}) as script:
            self.repaired(repository, script)
        assert "The price of all pieces." in str(script.calls[-1].messages)

    def test_the_test_run_sends_a_patch_up_a_tier(self, repository: Path) -> None:
        with scripted({**STAGES, PATCH: RIGHT, (PATCH, "code"): WRONG}) as script:
            result = self.repaired(repository, script)
        assert result.repair.solved
        assert script.tiers() == ["large", "small", "code", "large"]
        rejected = [row for row in result.repair.receipt().rows if row.verdict == "reject"]
        assert [(row.tier, row.conclusive) for row in rejected] == [("code", True)]

    def test_a_look_that_no_tier_can_make_does_not_end_the_repair(self, repository: Path) -> None:
        astray = {**STAGES, LOOK: Call("read_function", {"file": "basket.py", "name": "total"})}
        with scripted({**astray, PATCH: RIGHT}) as script:
            result = self.repaired(repository, script)
        assert result.repair.solved
        assert script.tiers() == ["large", "small", "code", "large", "code"]

    def test_what_no_tier_can_mend_is_said(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with scripted({**STAGES, PATCH: WRONG}) as script, pytest.raises(SystemExit) as ended:
            self.run(repository, script, "--apply")
        assert ended.value.code == 1
        assert script.tiers() == ["large", "small", "code", "large"]
        assert "Not mended" in capsys.readouterr().out
        assert (repository / "cart.py").read_text() == CODE

    def test_a_patch_is_applied_on_request_alone(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with scripted({**STAGES, PATCH: RIGHT}) as script:
            self.run(repository, script)
            assert "Nothing was written" in capsys.readouterr().out
            assert (repository / "cart.py").read_text() == CODE
            self.run(repository, script, "--apply")
        assert "written: cart.py" in capsys.readouterr().out
        assert "return subtotal(prices) + shipping" in (repository / "cart.py").read_text()

    def test_links_lead_nowhere(self, repository: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret.py"
        secret.write_text(SECRET)
        (repository / "key.py").symlink_to(secret)
        (repository / "outside").symlink_to(tmp_path)
        looked = {(LOOK, "small"): Call("read_function", {"file": "outside/secret.py", "name": "key"})}
        with scripted({**STAGES, **looked, PATCH: RIGHT, (PATCH, "code"): ELSEWHERE}) as script:
            self.run(repository, script, "--apply")
        assert script.tiers() == ["large", "small", "code", "code", "large"]
        assert not any("hunter2" in str(call.messages) for call in script.calls)
        assert secret.read_text() == SECRET

    def test_a_patch_that_never_ends_goes_up_a_tier(self, repository: Path) -> None:
        with scripted({**STAGES, PATCH: RIGHT, (PATCH, "code"): ENDLESS}) as script:
            result = self.repaired(repository, script, Limits(seconds=3))
        assert result.repair.solved
        assert script.tiers() == ["large", "small", "code", "large"]
        assert any("ended after 3 s" in row.evidence for row in result.repair.receipt().rows)
