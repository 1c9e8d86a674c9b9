from __future__ import annotations

import pytest
from tierwise.attempt import Show
from tierwise.context import Decision
from tierwise.errors import ConfigError
from tierwise.flow import Decided
from tierwise.policies import Rule
from tierwise.strategies import Cascade, Specialists
from tierwise.task import Task

from .conftest import DOWN, Bench, no


def test_a_policy_picks_the_specialist_and_the_top_is_its_fallback(bench: Bench) -> None:
    strategy = Specialists(Rule(job="code", tier="code"))
    ran = bench.run(strategy, "x", Task("q", job="code"))
    assert [(a.tier, a.show) for a in ran.attempts] == [("code", Show.LIVE)]
    assert [n.decision.tier for n in ran.notes if isinstance(n, Decided)] == ["code"]
    assert bench.run(strategy, {"coder": DOWN, "large": "y"}, Task("q", job="code")).outcome.text == "y"


def test_what_nobody_is_known_for_goes_to_the_top_and_says_so(bench: Bench) -> None:
    ran = bench.run(Specialists(Rule(job="code", tier="code")), "x", Task("q", job="poetry"))
    assert [a.tier for a in ran.attempts] == ["large"]
    assert ran.stated == "specialists: nobody is known for it: the top tier answers"


@pytest.mark.parametrize("named", ["medicine", "code"])
def test_a_specialist_that_is_not_there_or_may_not_take_it_is_passed_over(bench: Bench, named: str) -> None:
    def policy(task: Task) -> Decision:
        return Decision(named, rule="r")

    ran = bench.run(Specialists(policy), "x", Task("q", max_tier="medium"))
    assert [a.tier for a in ran.attempts] == ["medium"]
    assert f"{named!r} cannot take it" in ran.stated


def test_a_small_model_picks_a_label(bench: Bench) -> None:
    strategy = Specialists("small", {"programming": "code", "law": "medium"})
    ran = bench.run(strategy, {"small": '{"label": "programming"}', "coder": "done"})
    assert ran.asked == [("classify", "small"), ("answer", "coder")]
    assert ran.attempts[0].show == Show.HOLD
    assert bench.run(strategy, {"small": '{"label": "other"}', "large": "x"}, "b").outcome.attempt.tier == "large"
    assert bench.run(strategy, {"small": "no label", "large": "x"}, "c").outcome.attempt.tier == "large"


def test_what_happens_there_can_be_chosen(bench: Bench) -> None:
    strategy = Specialists(Rule(job="code", tier="code"), each=Cascade(no))
    assert bench.run(strategy, "x", Task("q", job="code")).asked == [("draft", "coder"), ("answer", "large")]


def test_labels_belong_to_a_model() -> None:
    with pytest.raises(ConfigError, match="needs them"):
        Specialists("small")
    with pytest.raises(ConfigError, match="by itself"):
        Specialists(Rule(job="a", tier="code"), {"a": "code"})


def test_refs_name_tiers_and_the_model_that_is_asked() -> None:
    assert list(Specialists("small", {"law": "medium"}).refs()) == ["medium", "small"]
