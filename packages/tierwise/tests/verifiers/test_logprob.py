from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Cascade, Fleet, ModelSpec, Router, Task, Tier
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import ConfigError
from tierwise.verifiers import Judge, Logprob


@pytest.mark.parametrize("found", [None, (), (-0.1, math.nan), (-0.1, -math.inf)])
def test_what_is_not_there_is_not_made_up(bench: Any, found: Any) -> None:
    verdict = bench.judge(Logprob(-0.5), bench.answer("Paris.", logprobs=found)).verdict
    assert (verdict.result, verdict.score) == ("abstain", None)


@pytest.mark.parametrize(
    ("found", "options", "result", "score"),
    [
        ((-0.2, -0.4), {}, "accept", -0.3),
        ((-0.2, -1.0), {}, "reject", -0.6),
        ((-0.5,), {}, "accept", -0.5),
        ((-0.1,) * 9 + (-3.0,), {}, "accept", -0.39),
        ((-0.1,) * 9 + (-3.0,), {"quantile": 0.0}, "reject", -3.0),
        ((-4.0, -2.0, -0.1), {"quantile": 0.25}, "reject", -3.0),
    ],
)
def test_mean_and_quantile_against_the_threshold(
    bench: Any, found: tuple[float, ...], options: dict[str, Any], result: str, score: float
) -> None:
    verdict = bench.judge(Logprob(-0.5, **options), bench.answer("x", logprobs=found)).verdict
    assert verdict.result == result
    assert verdict.score == pytest.approx(score)
    assert (verdict.threshold, verdict.calibrated, verdict.conclusive) == (-0.5, False, False)


@given(st.lists(st.floats(-50, 0), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_between_the_least_and_the_most_likely_token(found: list[float], q: float) -> None:
    outcome = Outcome(Attempt(Task("q"), ModelSpec("x:y")), logprobs=tuple(found))
    score = Logprob(-1, quantile=q).check(Task("q"), outcome).score
    assert score is not None
    assert min(found) - 1e-9 <= score <= max(found) + 1e-9


@pytest.mark.parametrize(("threshold", "options"), [(0.8, {}), (math.nan, {}), (-1, {"quantile": 1.5})])
def test_settings_that_cannot_be(threshold: float, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Logprob(threshold, **options)


def test_a_cascade_asks_for_what_its_verifier_reads_and_not_of_models_that_have_none() -> None:
    asked: dict[str, bool] = {}

    def answer(attempt: Attempt) -> Outcome:
        asked[attempt.model.name] = attempt.logprobs
        return Outcome(attempt, text="x", logprobs=(-2.0,) if attempt.logprobs else None)

    able, unable = ModelSpec("x:able"), ModelSpec("x:unable", capabilities=frozenset({"tools"}))
    fleet = Fleet([Tier("small", unable), Tier("medium", able), Tier("large", "x:large")])
    reply = Router(fleet, backends={"x": answer}, strategy=Cascade(Logprob(-0.5))).run("q")
    assert (asked["unable"], asked["able"]) == (False, True)
    assert [(r.verdict, r.score) for r in reply.attempts[:2]] == [("abstain", None), ("reject", -2.0)]
    assert reply.tier == "large"


def test_a_judge_asks_for_none() -> None:
    assert not Judge().wants_logprobs
    assert (Judge() | Logprob(-1)).wants_logprobs
