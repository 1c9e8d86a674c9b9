from __future__ import annotations

from typing import Any

import pytest
from tierwise.attempt import Attempt, Show
from tierwise.errors import ConfigError, TrustError
from tierwise.flow import Judged
from tierwise.strategies import Cascade, Sandwich, Single
from tierwise.task import Task

from .conftest import DOWN, Bench, Ran, yes


def staged(attempt: Attempt) -> Any:
    if attempt.task.job == "validate":
        return '{"problem": "step 2 is off", "holds": false}'
    return f"{attempt.task.job} by {attempt.model.name}"


def test_small_parses_large_plans_small_works_large_answers(bench: Bench) -> None:
    ran = bench.run(Sandwich(), staged, Task("q", job="mission"))
    assert [(a.task.job, a.purpose, a.tier, a.show) for a in ran.attempts] == [
        ("parse", "classify", "small", Show.HOLD),
        ("plan", "plan", "large", Show.HOLD),
        ("execute", "draft", "small", Show.HOLD),
        ("validate", "check", "small", Show.HOLD),
        ("mission", "answer", "large", Show.LIVE),
    ]
    assert ran.outcome.text == "mission by large"


def test_each_stage_sees_what_came_before_and_inherits_what_bounds_the_task(bench: Bench) -> None:
    task = Task("Ask me.", trust="local", session="s", deadline=9, max_tier="small")
    ran = bench.run(Sandwich(), staged, task)
    assert {a.model.trust for a in ran.attempts} == {"local"}
    for attempt in ran.attempts:
        assert (attempt.task.trust, attempt.task.session, attempt.task.deadline) == ("local", "s", 9)
    execute = ran.attempts[2].task.latest_request
    assert "Ask me." in execute
    assert "parse by small" in execute
    assert "plan by small" in execute


def test_the_finding_is_the_verdict_on_the_execution_and_reaches_the_answer(bench: Bench) -> None:
    ran = bench.run(Sandwich(), staged)
    (judged,) = [n for n in ran.notes if isinstance(n, Judged)]
    assert judged.outcome.attempt.task.job == "execute"
    assert (judged.verdict.result, judged.verdict.evidence) == ("reject", "x:small found: step 2 is off")
    assert "step 2 is off" in ran.attempts[-1].task.latest_request
    assert ran.outcome.verdict is None


def test_a_validation_that_is_none_abstains(bench: Bench) -> None:
    assert bench.run(Sandwich(), "words").verdicts("small") == ["abstain"]


def test_the_answer_keeps_tools_and_type(bench: Bench) -> None:
    task = Task("q", output_schema={"type": "integer"}, native=object())
    last = bench.run(Sandwich(), "4", task).attempts[-1]
    assert (last.show, last.task.output_schema, last.task.native) == (Show.HOLD, task.output_schema, None)
    assert last.task.messages[0].content == "q"


def test_a_stage_falls_back_to_the_tiers_above(bench: Bench) -> None:
    ran = bench.run(Sandwich(), {"small": DOWN, "spare": DOWN, "medium": "m", "large": "l"})
    assert ran.outcome.text == "l"
    assert ("classify", "medium") in ran.asked


def test_stages_can_be_named_or_be_strategies(bench: Bench) -> None:
    strategy = Sandwich(parse="medium", execute=Cascade(yes), answer=Single())
    ran = bench.run(strategy, staged)
    assert (ran.attempts[0].task.job, ran.attempts[0].tier) == ("parse", "medium")
    assert {a.show for a in ran.attempts[:-1]} == {Show.HOLD}
    assert list(strategy.refs()) == ["medium"]


def test_a_stage_that_may_not_be_made_is_refused_before_any_call(bench: Bench) -> None:
    ran = Ran()
    with pytest.raises(TrustError):
        bench.run(Sandwich(plan="large"), staged, Task("q", trust="local"), into=ran)
    assert ran.attempts == []


def test_what_is_no_member_is_named() -> None:
    with pytest.raises(ConfigError, match="3 is no member"):
        Sandwich(plan=3)  # pyright: ignore[reportArgumentType]
