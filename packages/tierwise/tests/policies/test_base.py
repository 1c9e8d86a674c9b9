from __future__ import annotations

from typing import Any

import pytest
from tierwise import Always, Fleet, Router, Rule, Tier
from tierwise.context import Context, Decision
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.policies import Cheapest, Classifier, FirstOf, LongerThan, Policy, SessionAffinity, as_policy
from tierwise.task import Task


def test_the_first_that_does_not_abstain_decides(bench: Any) -> None:
    policy = Rule(tier="large", job="plan") | Rule(tier="medium", tags="t") | Always("small")
    assert bench.tier(policy, Task("q", job="plan", tags=["t"])) == "large"
    assert bench.tier(policy, Task("q", tags=["t"])) == "medium"
    assert bench.tier(policy, "q") == "small"
    assert bench.run(policy, Task("q", tags=["t"])).decision.tier == "medium"
    assert bench.tier(Policy() | Policy(), "q") is None


def test_a_chain_names_all_its_tiers_and_models() -> None:
    policy = Rule(tier="a", job="x") | (Always("b") | Cheapest(Classifier("m", labels={"l": "c"})))
    assert isinstance(policy, FirstOf)
    assert len(policy.policies) == 3
    assert (list(policy.refs()), list(policy.model_refs())) == (["a", "b", "c"], ["m"])


def test_a_plain_function_is_a_policy_on_either_side(bench: Any) -> None:
    def weekday(task: Task) -> str | None:
        return "large" if "Monday" in task.latest_request else None

    def bounded(task: Task, context: Context, limit: int = 1) -> Decision | None:
        return Decision(context.top.name, rule="mine") if len(task.messages) > limit else None

    policy = weekday | (Policy() | bounded)
    decision = bench.decide(policy, "on Monday")
    assert (decision.tier, decision.rule, decision.reason) == ("large", "weekday", "weekday said so")
    assert bench.decide(policy, Task("q", system="s")).rule == "mine"
    assert bench.decide(policy, "q") is None


def test_what_is_no_policy_is_refused(bench: Any) -> None:
    wrong: Any = "small"
    with pytest.raises(ConfigError, match="'small' is no policy"):
        as_policy(wrong)

    async def slow(task: Task) -> str:
        return "small"

    wrong = slow
    with pytest.raises(ConfigError, match="slow is async"):
        as_policy(wrong)

    def confused(task: Task) -> Any:
        return True

    with pytest.raises(ConfigError, match="confused must give a tier's name, a Decision or None, not True"):
        bench.decide(as_policy(confused), "q")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (Always("smal"), "unknown tier 'smal'; did you mean 'small'"),
        (LongerThan(9, tier="x:large"), "unknown tier 'x:large'"),
        (SessionAffinity(Always("larg")), "did you mean 'large'"),
        (Classifier("x:larg"), "unknown tier or model 'x:larg'; did you mean 'x:large'"),
    ],
)
def test_a_typo_is_found_at_start_up(policy: Policy, words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        Router(Fleet([Tier("small", "x:small"), Tier("large", "x:large")]), policy=policy)
