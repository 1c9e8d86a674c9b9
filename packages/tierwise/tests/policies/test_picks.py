from __future__ import annotations

from typing import Any

import pytest
from tierwise import Always, CircuitBreaker, Fleet, ModelSpec, Price, Router, Rule, Single, Tier
from tierwise.attempt import Attempt
from tierwise.context import Decision
from tierwise.errors import ConfigError
from tierwise.policies import Cheapest, Classifier, Fastest
from tierwise.state import Observed
from tierwise.task import Task

FLEET = Fleet(
    [
        Tier(
            "small",
            [
                ModelSpec("x:unknown"),
                ModelSpec("x:chatty", price=Price(1, 50)),
                ModelSpec("x:reader", price=Price(5, 5)),
            ],
        ),
        Tier("large", [ModelSpec("x:a"), ModelSpec("x:b")]),
    ]
)


@pytest.mark.parametrize(
    ("task", "options", "model"),
    [
        (Task("q"), {}, "x:reader"),
        (Task("x" * 400_000), {}, "x:chatty"),
        (Task("q"), {"output_tokens": 0}, "x:chatty"),
        (Task("x" * 400, max_output_tokens=1), {}, "x:chatty"),
    ],
)
def test_the_cheapest_for_this_request_goes_first_and_an_unknown_price_never_does(
    bench: Any, task: Task, options: dict[str, Any], model: str
) -> None:
    decision = bench.decide(Cheapest("small", **options), task, fleet=FLEET)
    assert decision.model == model
    assert set(decision.scores) == {"x:chatty", "x:reader"}


def test_where_nothing_is_known_the_tier_s_order_holds(bench: Any) -> None:
    assert bench.decide(Cheapest("large"), "q", fleet=FLEET) == Decision("large", rule="always", reason="always large")
    assert bench.decide(Fastest("large"), "q", fleet=FLEET).model is None


def test_the_one_that_has_been_fastest_goes_first(bench: Any) -> None:
    bench.state.observe(Observed("x:chatty", 2.0))
    bench.state.observe(Observed("x:reader", 0.5))
    decision = bench.decide(Fastest("small"), "q", fleet=FLEET)
    assert (decision.model, decision.scores) == ("x:reader", {"x:chatty": 2.0, "x:reader": 0.5})
    assert decision.reason == "always small; x:reader is the fastest of 2 known: 0.5 s"


def test_a_model_that_may_not_take_the_task_is_not_compared(bench: Any) -> None:
    fleet = Fleet(
        [
            Tier(
                "small",
                [ModelSpec("x:cloud", price=Price(0, 0)), ModelSpec("x:here", price=Price(9, 9), trust="local")],
            )
        ]
    )
    assert bench.decide(Cheapest("small"), Task("q", trust="local"), fleet=fleet).model == "x:here"


def test_they_wrap_any_policy(bench: Any) -> None:
    policy = Cheapest(Rule(tier="small", job="tool") | Always("large"))
    decision = bench.decide(policy, Task("q", job="tool"), fleet=FLEET)
    assert (decision.tier, decision.model, decision.rule) == ("small", "x:reader", "rule, cheapest")
    assert bench.decide(Cheapest(Rule(tier="small", job="tool")), "q", fleet=FLEET) is None
    assert list(policy.refs()) == ["small", "large"]


def test_a_model_that_the_other_policy_picked_stands(bench: Any) -> None:
    def mine(task: Task) -> Decision:
        return Decision("small", model="x:unknown")

    assert bench.decide(Cheapest(mine), "q", fleet=FLEET).model == "x:unknown"
    assert bench.decide(Fastest(Cheapest("small")), "q", fleet=FLEET).model == "x:reader"


def test_they_wait_for_a_policy_that_has_to_ask(bench: Any) -> None:
    policy = Cheapest(Classifier("large"))
    assert bench.decide(policy, "q", fleet=FLEET).pending

    def easy(attempt: Attempt) -> str:
        return '{"label": "easy"}'

    assert bench.run(policy, "q", easy, fleet=FLEET).decision.model == "x:reader"
    assert list(policy.model_refs()) == ["large"]


def test_no_negative_output() -> None:
    with pytest.raises(ConfigError, match="output_tokens=-1"):
        Cheapest("small", output_tokens=-1)


def test_the_others_stay_behind_as_fallbacks() -> None:
    asked: list[str] = []

    def answer(attempt: Attempt) -> str:
        asked.append(attempt.model.name)
        if attempt.model.name == "reader":
            raise ConnectionError("down")
        return "fine"

    def yes(outcome: Any) -> bool:
        return True

    from tierwise import Cascade

    router = Router(FLEET, policy=Cheapest("small"), backends={"x": answer}, strategy=Cascade(yes))
    assert router.decide("q").model == "x:reader"
    assert router.run("q").model == "x:unknown"
    assert asked == ["reader", "unknown"]


def test_measured_latencies_reach_the_next_decision() -> None:
    def answer(attempt: Attempt) -> str:
        return "fine"

    router = Router(FLEET, policy=Fastest("small"), backends={"x": answer})
    assert router.decide("q").model is None
    router.run("q")
    assert router.decide("q").model == "x:unknown"


@pytest.mark.parametrize("pick", [Cheapest, Fastest])
def test_a_model_that_failed_too_often_of_late_does_not_go_first_until_that_has_faded(bench: Any, pick: Any) -> None:
    for model, seconds in (("x:chatty", 2.0), ("x:reader", 0.5)):
        bench.state.observe(Observed(model, seconds))
    for _ in range(4):
        bench.state.observe(Observed("x:reader", failed=True))
    decision = bench.decide(pick("small"), "q", fleet=FLEET)
    assert decision.model == "x:chatty"
    assert "(x:reader not well now)" in decision.reason
    assert bench.decide(pick("small", max_error_rate=0.9), "q", fleet=FLEET).model == "x:reader"
    bench.now += 60
    assert bench.decide(pick("small"), "q", fleet=FLEET).model == "x:reader"


def test_where_none_is_well_the_figure_decides(bench: Any) -> None:
    for model in ("x:unknown", "x:chatty", "x:reader"):
        bench.state.observe(Observed(model, failed=True))
    assert bench.decide(Cheapest("small"), "q", fleet=FLEET).model == "x:reader"


def test_a_model_whose_circuit_is_open_does_not_go_first() -> None:
    def answer(attempt: Attempt) -> str:
        if attempt.model.name == "reader":
            raise ConnectionRefusedError("down")
        return "fine"

    def router(**options: Any) -> Router:
        policy = Cheapest("small", max_error_rate=1)
        return Router(FLEET, policy=policy, backends={"x": answer}, strategy=Single(), **options)

    with_breaker, without = router(limits=[CircuitBreaker()]), router()
    for made in (with_breaker, without):
        assert made.decide("q").model == "x:reader"
        assert made.run("q").model == "x:unknown"
    assert with_breaker.decide("q").model == "x:chatty"
    assert without.decide("q").model == "x:reader"


@pytest.mark.parametrize("pick", [Cheapest, Fastest])
@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_an_error_rate_is_a_share(pick: Any, wrong: float) -> None:
    with pytest.raises(ConfigError, match="max_error_rate="):
        pick("small", max_error_rate=wrong)
