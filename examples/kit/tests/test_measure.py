import json
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tierwise.errors import ConfigError
from tierwise_examples import measure
from tierwise_examples.billing import at_list_prices
from tierwise_examples.coding.prompts import PATCH, PLAN, Plan
from tierwise_examples.ladders import CLOUD, Ladder
from tierwise_examples.measure import FORMS, Form, main, measured, overruns
from tierwise_examples.scripted import Answer, Script, scripted
from tierwise_examples.tables import tables
from tierwise_examples.trials import Trial, cases_of, tried

AGENTS = Path(__file__).parent / "agents"
CODING = AGENTS / "coding-plain"
SOURCE = '''```python
def average(ratings: list[int]) -> float:
    """The average of all ratings, with one digit; 0.0 where nobody has rated yet."""
    return {value}
```'''
RIGHT = SOURCE.format(value="round(sum(ratings) / max(1, len(ratings)), 1)")
WRONG = SOURCE.format(value="0.0")


def told(cause: str = "it divides by zero", **patches: Answer) -> Script:
    plan = Plan(file="reviews.py", function="average", cause=cause)
    return {PLAN: plan, **{(PATCH, tier): patch for tier, patch in patches.items()}}


def trial(**fields: Any) -> Trial:
    given: dict[str, Any] = {"example": "coding-langgraph", "case": "01-a", "way": "routed", "solved": True}
    given |= {"calls": {"small": 1, "code": 2}, "cost": "0.0012", "seconds": 12.0, "longest": 400}
    return Trial(**(given | fields))


@pytest.mark.usefixtures("sandbox")
def test_an_agent_is_tried_on_the_ladder_and_on_its_top_tier_alone() -> None:
    with scripted(told(code=WRONG, large=RIGHT)) as script:
        routed, alone = measured([CODING], script.ladder, cases=1)
    assert (routed.example, routed.case, routed.way) == ("coding-plain", "01-first-review", "routed")
    assert routed.solved
    assert routed.calls == {"code": 1, "large": 2}
    assert alone.solved
    assert alone.calls == {"large": 2}
    assert routed.cost is not None
    assert alone.cost is not None
    assert Decimal(routed.cost) > Decimal(alone.cost) > 0
    assert routed.longest > 50


@pytest.mark.usefixtures("sandbox")
def test_the_cost_is_that_of_every_call_at_list_prices() -> None:
    with scripted(told(code=WRONG, large=RIGHT)) as script:
        (case,) = cases_of(CODING)[:1]
        done = tried("coding-plain", case, script.ladder)
        billed = [(call.model, call.billed_input, call.billed_output) for call in script.calls]
    prices = {"scripted-code": (1, 5), "scripted-large": (5, 25)}
    assert CLOUD.models["code"] == "anthropic:claude-haiku-4-5"
    expected = sum(prices[model][0] * into + prices[model][1] * out for model, into, out in billed)
    assert done.cost is not None
    assert Decimal(done.cost) == Decimal(expected) / 1_000_000


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("script", "why"),
    [
        (told(cause="none"), "GaveUp: the plan names no cause"),
        (told(code=WRONG, large=WRONG), "failed, 4 passed"),
    ],
)
def test_what_an_agent_cannot_do_is_told(script: Script, why: str) -> None:
    with scripted(script) as running:
        done = tried("coding-plain", cases_of(CODING)[0], running.ladder)
    assert not done.solved
    assert why in done.why


@pytest.mark.usefixtures("sandbox")
def test_an_error_of_the_program_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("def fix(repair):\n    return repair.nothing\n")
    with scripted({}) as script, pytest.raises(AttributeError, match="nothing"):
        tried("x", cases_of(tmp_path)[0], script.ladder)


@pytest.mark.parametrize("program", [None, "def mend(repair): ...\n"])
def test_a_folder_without_an_agent_is_refused(tmp_path: Path, program: str | None) -> None:
    if program is not None:
        (tmp_path / "agent.py").write_text(program)
    with pytest.raises(ConfigError, match=r"agent\.py"):
        cases_of(tmp_path)


def test_an_agent_that_answers_is_tried_on_the_questions() -> None:
    from tierwise_examples.research.questions import shipped_questions

    found = cases_of(AGENTS / "research-plain")
    assert [case.name for case in found] == [question.name for question in shipped_questions()]


def test_what_goes_beyond_a_form_is_said() -> None:
    form = Form(models=2, cases=1, calls=6, prompt=800)
    assert overruns([trial(calls={"small": 6}, longest=800)], form) == []
    calls, prompt = overruns([trial(calls={"small": 6, "code": 1}), trial(longest=801)], form)
    assert "coding-langgraph on 01-a (routed) made 7 calls, and 6 are the most" in calls
    assert "801 tokens" in prompt
    assert overruns([trial(calls={"small": 99}, longest=9999)], FORMS["full"]) == []


def test_the_table_adds_up_what_was_measured() -> None:
    both = [trial(), trial(way="alone", calls={"code": 3}, cost="0.0050", solved=False)]
    harder = [trial(case="02-b", solved=False), trial(case="02-b", way="alone", cost=None, calls={"code": 1})]
    ladder = Ladder({"small": "ollama:s", "code": "ollama:c"})
    agents, cases, legend = tables([*both, *harder], ladder, {"coding-langgraph": "a graph"}).split("\n\n")
    line = "| [coding](coding-langgraph) | LangGraph | a graph | 1 of 2 | 2 + 4 | $0.0024 | 1 of 2 | 0 + 4 |"
    assert agents.splitlines()[2] == f"{line} $0.005 and 1 unknown |"
    assert (
        cases.splitlines()[3]
        == "| 02-b | coding-langgraph | no | 1 + 2 | $0.0012 | 12 s | yes | 0 + 1 | $0 and 1 unknown | 12 s |"
    )
    assert "Calls are small + code. Estimated" in legend
    assert "ollama:c alone" in legend


def test_what_a_stopped_run_did_not_come_to_is_said() -> None:
    ladder = Ladder({"small": "ollama:s", "code": "ollama:c"})
    _, cases, _ = tables([trial()], ladder, {}).split("\n\n")
    assert "| not run |" in cases


@pytest.fixture
def told_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's models answer as told."""

    @contextmanager
    def embedded(models: int) -> Generator[Ladder]:
        with scripted(told(code=RIGHT), tiers=["small", "code", "large"][:models]) as script:
            yield script.ladder

    monkeypatch.setattr(measure, "embedded", embedded)


@pytest.mark.usefixtures("sandbox", "told_models")
def test_the_command_line_runs_agents_and_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, page = tmp_path / "new" / "ci.json", tmp_path / "README.md"
    page.write_text("before\n<!-- measured -->\nold\n<!-- end of measured -->\nafter\n")
    main(["run", "--form", "ci", "--json", str(figures), str(CODING)])
    assert "coding-plain 01-first-review (routed, 2 code," in capsys.readouterr().out
    assert json.loads(figures.read_text())["models"] == {
        "small": "ollama:scripted-small",
        "code": "ollama:scripted-code",
    }
    main(["table", str(figures), "--into", str(page)])
    printed = capsys.readouterr().out
    assert "| [coding](coding-plain) | plain | no framework, coding | 1 of 1 | 0 + 2 |" in printed
    assert page.read_text() == f"before\n<!-- measured -->\n\n{printed}\n<!-- end of measured -->\nafter\n"


@pytest.mark.usefixtures("sandbox", "told_models")
def test_an_agent_that_overruns_its_form_is_told_below_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FORMS, "ci", Form(models=2, cases=1, prompt=10))
    figures = str(tmp_path / "ci.json")
    main(["run", "--json", figures, str(CODING)])
    with pytest.raises(SystemExit, match="and 10 are the most"):
        main(["table", figures])
    assert "| [coding](coding-plain) |" in capsys.readouterr().out


def test_a_page_without_marks_is_left_alone(tmp_path: Path) -> None:
    figures, page = tmp_path / "ci.json", tmp_path / "README.md"
    figures.write_text(json.dumps({"models": {"small": "ollama:s"}, "patterns": {}, "trials": []}))
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="<!-- measured -->"):
        main(["table", str(figures), "--into", str(page)])
    assert page.read_text() == "no marks"


def test_a_receipt_of_no_calls_costs_nothing() -> None:
    assert at_list_prices([], CLOUD).cost == 0
