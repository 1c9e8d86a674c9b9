"""The command lines, with models that answer as told behind the discovery that a user's have."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tierwise.errors import ConfigError, TooManyCallsError
from tierwise_examples.cli import ended
from tierwise_examples.coding import main as mend
from tierwise_examples.coding import prompts
from tierwise_examples.coding.bugs import seeded_bugs
from tierwise_examples.research import Inquiry, Report
from tierwise_examples.research import main as ask
from tierwise_examples.scripted import scripted
from tierwise_examples.trials import load_agent

AGENTS = Path(__file__).parent / "agents"
CODING = load_agent(AGENTS / "coding-plain")
RESEARCH = load_agent(AGENTS / "research-plain")
PLAN = '{"file": "pricing.py", "function": "shipping", "cause": "it compares wrongly"}'
PATCH = "```python\ndef shipping(amount: int) -> int:\n    return 0 if amount >= FREE_SHIPPING_FROM else SHIPPING\n```"
ANSWERS = {prompts.PLAN: PLAN, prompts.PATCH: PATCH}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A seeded bug, as a user's repository."""
    (bug,) = (bug for bug in seeded_bugs() if bug.name.endswith("-free-shipping"))
    return Path(shutil.copytree(bug.path, tmp_path / "shop"))


def fixing(shown: pytest.CaptureFixture[str], *words: str, answers: dict[str, str] = ANSWERS) -> str:
    """What a coding agent's command line prints."""
    with scripted(answers):
        try:
            mend(CODING.fix, CODING.FAILURES, arguments=words)
        finally:
            printed = shown.readouterr().out
    return printed


@pytest.mark.usefixtures("sandbox")
def test_a_bug_is_mended_on_a_copy(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (repository / "pricing.py").read_text()
    printed = fixing(capsys, str(repository))
    assert "pricing.py, shipping: it compares wrongly" in printed
    assert "+    return 0 if amount >= FREE_SHIPPING_FROM else SHIPPING" in printed
    assert "6 passed" in printed
    assert "anthropic:claude-haiku-4-5 (answered by scripted-code)" in printed
    assert "Estimated: the local models' tokens at the public list prices" in printed
    assert (repository / "pricing.py").read_text() == before


@pytest.mark.usefixtures("sandbox")
def test_on_request_the_patch_is_written(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "written: pricing.py" in fixing(capsys, str(repository), "--apply")
    assert "amount >= FREE_SHIPPING_FROM" in (repository / "pricing.py").read_text()


@pytest.mark.usefixtures("sandbox")
def test_what_is_not_mended_is_not_written_and_the_status_says_so(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (repository / "pricing.py").read_text()
    with pytest.raises(SystemExit) as ended_with:
        fixing(capsys, str(repository), "--apply", answers=ANSWERS | {prompts.PATCH: "I cannot."})
    assert ended_with.value.code == 1
    assert (repository / "pricing.py").read_text() == before


@pytest.mark.usefixtures("sandbox")
def test_a_repository_whose_tests_pass_says_what_to_do(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixing(capsys, str(repository), "--apply")
    with pytest.raises(SystemExit, match=r"no test fails .* write one that shows the bug"):
        fixing(capsys, str(repository))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bug", "99"], "unknown bug '99'"),
        (["/nowhere/at/all"], "is no folder"),
        (["--bug", "01", "--small", "gpt"], "must be provider:name"),
    ],
)
def test_a_wrong_setting_is_told_without_a_traceback(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=said):
        fixing(capsys, *words)


def test_a_question_is_answered_with_the_bill(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "gate.md").write_text("# The gate\n\nThe gate of the yard opens at 6.30 in the morning.\n")
    answers = {
        "Write two short searches": '{"queries": ["gate opens", "yard gate morning"]}',
        "Which documents help": '{"passages": [1]}',
        "Answer the question from": "The gate of the yard opens at 6.30 in the morning [1].",
        "Do the lines say": '{"supported": true}',
    }
    with scripted(answers):
        ask(RESEARCH.answer, arguments=["When does the gate of the yard open?", "--docs", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "6.30 in the morning" in printed
    assert "gate.md:3" in printed
    assert "The bill" in printed


def test_an_agent_that_gives_up_leaves_its_reason_and_the_bill(capsys: pytest.CaptureFixture[str]) -> None:
    def tired(inquiry: Inquiry) -> Report:
        raise TimeoutError("the framework is tired")

    with scripted({}), pytest.raises(SystemExit, match="1"):
        ask(tired, (TimeoutError,), arguments=["Why?"])
    printed = capsys.readouterr().out
    assert "TimeoutError: the framework is tired" in printed
    assert re.search(r"calls +0\n", printed)


def wrapped(repair: object) -> None:
    try:
        raise TooManyCallsError(6)
    except TooManyCallsError as error:
        raise RuntimeError("a framework's own words") from error


def broken(repair: object) -> None:
    raise KeyError("a slip of the programmer")


def misled(repair: object) -> None:
    raise ConfigError("a wrong setting", setting="path")


def test_what_a_framework_wraps_is_told_in_the_routers_words() -> None:
    assert ended(wrapped, None).startswith("TooManyCallsError")
    assert ended(repr, None) == ""


@pytest.mark.parametrize(("agent", "error"), [(broken, KeyError), (misled, ConfigError)])
def test_what_is_no_result_is_raised(agent: Callable[[object], None], error: type[Exception]) -> None:
    with pytest.raises(error):
        ended(agent, None)
