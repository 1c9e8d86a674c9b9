from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tierwise import Always, Cascade, Fleet, ModelSpec, Price, Router, Rule, Tier
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import ConfigError
from tierwise.policies import Classifier, SessionAffinity
from tierwise.task import Task

FLEET = Fleet(
    [
        Tier("small", ModelSpec("x:small")),
        Tier("medium", ModelSpec("x:medium", price=Price(3, 15, cached_input="0.3"))),
        Tier("large", ModelSpec("x:large", price=Price(15, 75, cached_input="1.5"))),
    ],
    specialists=[Tier("long", "x:long")],
)
STEP = Task("q", session="s")


def decide(bench: Any, policy: SessionAffinity, task: Task = STEP) -> Any:
    return bench.decide(policy, task, fleet=FLEET)


def test_without_a_session_the_other_policy_decides(bench: Any) -> None:
    assert decide(bench, SessionAffinity(Always("small"))).rule == "always"
    assert decide(bench, SessionAffinity(Always("small")), Task("q")).rule == "always"
    assert decide(bench, SessionAffinity()) is None


def test_a_session_does_not_go_down_and_the_decision_says_what_leaving_would_cost(bench: Any) -> None:
    bench.state.keep_session("s", "medium", 10_000)
    decision = decide(bench, SessionAffinity(Always("small")))
    assert (decision.tier, decision.rule) == ("medium", "session, over always")
    assert decision.cache_loss == Decimal("0.027")
    assert "10000 prompt tokens are cached; small was wanted: always small" in decision.reason


def test_it_goes_up_and_the_decision_says_what_that_costs(bench: Any) -> None:
    bench.state.keep_session("s", "medium", 10_000)
    decision = decide(bench, SessionAffinity(Always("large")))
    assert (decision.tier, decision.rule, decision.cache_loss) == ("large", "always", Decimal("0.027"))


def test_the_loss_is_unknown_where_the_price_is(bench: Any) -> None:
    bench.state.keep_session("s", "small", 10_000)
    decision = decide(bench, SessionAffinity(Always("large")))
    assert (decision.tier, decision.cache_loss) == ("large", None)


def test_it_stays_where_the_other_policy_abstains(bench: Any) -> None:
    bench.state.keep_session("s", "medium", 10)
    decision = decide(bench, SessionAffinity(Rule(tier="small", job="tool")))
    assert (decision.tier, decision.rule) == ("medium", "session")


def test_staying_put_changes_nothing(bench: Any) -> None:
    bench.state.keep_session("s", "medium", 10)
    assert decide(bench, SessionAffinity(Always("medium"))) == bench.decide(Always("medium"), STEP, fleet=FLEET)


@pytest.mark.parametrize(("kept", "wanted"), [("medium", "long"), ("long", "small")])
def test_to_and_from_a_specialist_it_follows(bench: Any, kept: str, wanted: str) -> None:
    bench.state.keep_session("s", kept, 10)
    assert decide(bench, SessionAffinity(Always(wanted))).tier == wanted


def test_a_tier_that_is_gone_holds_nothing(bench: Any) -> None:
    bench.state.keep_session("s", "huge", 10)
    assert decide(bench, SessionAffinity(Always("small"))).tier == "small"


@pytest.mark.parametrize(("idle", "tier"), [(299, "medium"), (300, "small")])
def test_a_cache_that_has_expired_holds_nothing(bench: Any, idle: float, tier: str) -> None:
    bench.state.keep_session("s", "medium", 10)
    bench.now = idle
    assert decide(bench, SessionAffinity(Always("small"), release_after=300)).tier == tier


def test_it_waits_for_a_policy_that_has_to_ask(bench: Any) -> None:
    policy = SessionAffinity(Classifier("small"))
    bench.state.keep_session("s", "medium", 10)
    assert decide(bench, policy).pending

    def easy(attempt: Attempt) -> str:
        return '{"label": "easy"}'

    assert bench.run(policy, STEP, easy, fleet=FLEET).decision.tier == "medium"
    assert (list(policy.refs()), list(policy.model_refs())) == ([], ["small"])


def test_no_negative_time() -> None:
    with pytest.raises(ConfigError, match="release_after=-1"):
        SessionAffinity(release_after=-1)


def test_a_session_that_was_escalated_stays_up_and_others_are_not_touched() -> None:
    def answer(attempt: Attempt) -> str:
        return attempt.model.name

    def hard(task: Task, outcome: Outcome) -> bool:
        return outcome.attempt.tier != "small" or "easy" in task.latest_request

    router = Router(FLEET, policy=SessionAffinity(Always("small")), backends={"x": answer}, strategy=Cascade(hard))
    assert router.run("hard", session="s").tier == "medium"
    assert router.run("easy", session="s").tier == "medium"
    assert router.run("easy", session="t").tier == "small"
