from __future__ import annotations

from typing import Any

import pytest
from tierwise.attempt import Attempt, Outcome, Show
from tierwise.errors import AllModelsFailedError, ConfigError
from tierwise.fleet import Fleet, ModelSpec, Tier
from tierwise.messages import ToolCall
from tierwise.strategies import BestOf, Single
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers import Judge, ValidOutput

from .conftest import DOWN, Bench


def by_length(outcome: Outcome) -> Verdict:
    score = len(outcome.text) / 10
    return Verdict("accept" if score >= 0.3 else "reject", f"{score}", score=score, threshold=0.3)


def test_the_verifiers_score_picks(bench: Bench) -> None:
    ran = bench.run(BestOf(3, verifier=by_length), {"small": ["a", "abcdef", "abcd"]})
    assert len(ran.batches) == 1
    assert ran.outcome.text == "abcdef"
    assert ran.outcome.verdict is not None
    assert (ran.outcome.verdict.score, ran.outcome.verdict.result) == (0.6, "accept")
    assert ran.stated == "best of 3: 3 judged, 2 accepted"


def test_samples_are_held_varied_and_named(bench: Bench) -> None:
    ran = bench.run(BestOf(2, verifier=by_length, temperature=0.9), "abc")
    assert [(a.show, a.temperature, a.purpose, a.reason) for a in ran.attempts] == [
        (Show.HOLD, 0.9, "sample", "sample 1 of 2"),
        (Show.HOLD, 0.9, "sample", "sample 2 of 2"),
    ]


def test_with_a_fixed_seed_every_sample_has_its_own() -> None:
    class Seeded(Bench):
        fleet = Fleet([Tier("small", ModelSpec("x:small", seed=7))])

    assert [a.seed for a in Seeded().run(BestOf(3, verifier=by_length), "abc").attempts] == [7, 8, 9]


def test_accepted_comes_before_unverified_before_rejected(bench: Bench) -> None:
    def said(outcome: Outcome) -> bool | None:
        return {"yes": True, "no": False, "hm": None}[outcome.text]

    assert bench.run(BestOf(3, verifier=said), {"small": ["no", "hm", "yes"]}).outcome.text == "yes"
    assert bench.run(BestOf(3, verifier=said), {"small": ["no", "hm", "no"]}).outcome.text == "hm"


def test_if_all_are_rejected_the_best_is_returned_as_rejected(bench: Bench) -> None:
    ran = bench.run(BestOf(3, verifier=by_length), {"small": ["a", "ab", "a"]})
    assert ran.outcome.text == "ab"
    assert ran.outcome.verdict is not None
    assert ran.outcome.verdict.rejected


def test_a_conclusive_accept_wins_and_nothing_dearer_is_asked(bench: Bench) -> None:
    task = Task("q", output_schema={"type": "integer"})
    ran = bench.run(BestOf(3, verifier=ValidOutput() & Judge("large")), {"small": ["no", "4", "x"]}, task)
    assert ran.asked == [("sample", "small")] * 3
    assert ran.outcome.text == "4"


def test_prose_is_judged_side_by_side(bench: Bench) -> None:
    def answer(attempt: Attempt) -> Any:
        if attempt.purpose != "judge":
            return attempt.reason
        return '{"reason": "r", "score": %d}' % (9 if "sample 2" in attempt.task.latest_request else 7)  # noqa: UP031

    ran = bench.run(BestOf(3), answer)
    assert [[a.purpose for a in b] for b in ran.batches] == [["sample"] * 3, ["judge"] * 3]
    assert ran.outcome.text == "sample 2 of 3"


def test_a_failed_sample_is_stated_and_a_failed_tier_is_left(bench: Bench) -> None:
    ran = bench.run(BestOf(2, verifier=by_length), {"small": [DOWN, "abcd"], "spare": DOWN})
    assert ran.stated == "best of 2: 1 judged, 1 accepted, 1 failed"
    up = bench.run(BestOf(2, verifier=by_length), {"small": DOWN, "spare": DOWN, "medium": "abc"})
    assert up.outcome.attempt.tier == "medium"


def test_all_failing_raises_with_every_outcome(bench: Bench) -> None:
    with pytest.raises(AllModelsFailedError) as caught:
        bench.run(BestOf(2, verifier=by_length, member="medium"), DOWN_EVERYWHERE)
    assert len(caught.value.outcomes) == 2


DOWN_EVERYWHERE: dict[str, Any] = dict.fromkeys(("small", "spare", "medium", "large", "coder"), DOWN)


def test_a_strategy_can_be_sampled(bench: Bench) -> None:
    ran = bench.run(BestOf(2, verifier=by_length, member=Single()), "abcd")
    assert ran.asked == [("sample", "small")] * 2
    assert {a.show for a in ran.attempts} == {Show.HOLD}


def test_tool_calls_that_fit_win(bench: Bench) -> None:
    task = Task("q", tools=[{"name": "f"}])
    calls: list[Any] = ["prose", {"tool_calls": (ToolCall("f"),)}, {"tool_calls": (ToolCall("g"),)}]
    ran = bench.run(BestOf(3), {"small": calls}, task)
    assert ran.outcome.tool_calls == (ToolCall("f"),)
    assert "judge" not in {a.purpose for a in ran.attempts}


@pytest.mark.parametrize("wrong", [{"n": 1}, {"temperature": 0.0}])
def test_a_wrong_setting_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        BestOf(**wrong)


def test_refs() -> None:
    assert list(BestOf(verifier=Judge("large"), member="small").refs()) == ["large", "small"]
