from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel
from tierwise import (
    Always,
    BestOf,
    Cascade,
    Fleet,
    Judge,
    ModelSpec,
    Price,
    Router,
    Rule,
    Single,
    Task,
    Tier,
    Tool,
    ToolCall,
)
from tierwise.attempt import Attempt, Outcome
from tierwise.backends import registry
from tierwise.context import Context, Decision
from tierwise.errors import (
    AllModelsFailedError,
    ConfigError,
    DeadlineError,
    MissingExtraError,
    NoModelError,
    RejectedError,
    TrustError,
    UnavailableError,
    UnknownNameError,
)
from tierwise.fleet import Usage

from .driving import Stopwatch

SMALL = ModelSpec("x:small", price=Price(1, 1), trust="local")
MEDIUM = ModelSpec("x:medium", price=Price(10, 10))
LARGE = ModelSpec("x:large", price=Price(100, 100))
USAGE = Usage(1000, 1000)

Answer = Callable[[Attempt], Any]


def router(answer: Answer, **options: Any) -> Router:
    fleet = Fleet([Tier("small", SMALL), Tier("medium", MEDIUM), Tier("large", LARGE)])
    return Router(fleet, backends={"x": answer}, **options)


def named(attempt: Attempt) -> Outcome:
    return Outcome(attempt, text=attempt.model.name, usage=USAGE)


def yes(outcome: Outcome) -> bool:
    return True


def no(outcome: Outcome) -> bool:
    return False


def long_enough(outcome: Outcome) -> bool:
    return outcome.attempt.tier != "small"


def test_an_accepted_answer_of_the_lowest_tier_costs_one_call() -> None:
    reply = router(named, strategy=Cascade(yes)).run("hi")
    assert (reply.text, reply.status, reply.tier) == ("small", "verified", "small")
    assert [(r.purpose, r.model, r.verdict) for r in reply.attempts] == [("answer", "x:small", "accept")]


def test_a_rejected_draft_climbs_one_tier_and_stays_on_the_bill() -> None:
    reply = router(named, strategy=Cascade(long_enough)).run("hi")
    assert (reply.text, reply.tier, reply.status) == ("medium", "medium", "verified")
    assert [(r.purpose, r.tier, r.verdict) for r in reply.attempts] == [
        ("draft", "small", "reject"),
        ("answer", "medium", "accept"),
    ]
    assert reply.attempts[1].reason.startswith("escalation: small rejected: long_enough")
    assert reply.cost == Decimal("0.022")


def test_every_tier_is_used_before_the_top() -> None:
    reply = router(named, strategy=Cascade(no)).run("hi")
    assert [r.tier for r in reply.attempts] == ["small", "medium", "large"]
    assert reply.text == "large"


def test_the_saving_is_net_of_drafts_and_may_be_negative() -> None:
    saved = router(named, strategy=Cascade(yes)).run("hi").receipt.saving
    assert saved is not None
    assert (saved.baseline, saved.baseline_cost, saved.usd) == ("x:large", Decimal("0.2"), Decimal("0.198"))
    lost = router(named, strategy=Cascade(no)).run("hi").receipt.saving
    assert lost is not None
    assert lost.usd == Decimal("-0.022")


def test_an_unknown_price_is_unknown_and_never_zero() -> None:
    fleet = Fleet([Tier("only", ModelSpec("nobody:knows-this-model"))])
    reply = Router(fleet, backends={"nobody": named}).run("hi")
    assert reply.cost is None
    assert reply.receipt.unpriced == 1
    assert reply.receipt.saving is not None
    assert reply.receipt.saving.usd is None


def test_a_valid_tool_call_of_the_small_tier_costs_one_call() -> None:
    tool = Tool(
        "weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    )
    call = ToolCall("weather", {"city": "Oslo"})
    reply = router(lambda a: Outcome(a, tool_calls=(call,))).run("Weather in Oslo?", tools=[tool])
    assert (reply.tool_calls, reply.status, len(reply.attempts)) == ((call,), "verified", 1)


def test_a_tool_call_with_high_stakes_is_not_conclusive_below_the_top() -> None:
    tool = Tool("pay", stakes="high")
    reply = router(lambda a: Outcome(a, tool_calls=(ToolCall("pay"),))).run("Pay.", tools=[tool])
    assert reply.tier == "large"
    assert "stakes are high" in reply.attempts[0].evidence


class City(BaseModel):
    name: str
    people: int


def typed(attempt: Attempt) -> str:
    return '{"name": "Oslo", "people": 1}' if attempt.tier == "large" else "Oslo has many people."


def test_a_typed_answer_is_parsed_and_a_wrong_one_goes_up() -> None:
    reply = router(typed).run("Oslo?", output_schema=City)
    assert reply.output == City(name="Oslo", people=1)
    assert [r.verdict for r in reply.attempts] == ["reject", "reject", "accept"]


def test_a_typed_answer_that_no_model_gives_raises_with_every_attempt() -> None:
    with pytest.raises(RejectedError, match="does not fit the schema") as caught:
        router(lambda _: "no").run("Oslo?", output_schema=City)
    assert caught.value.outcome.text == "no"
    assert [r.tier for r in caught.value.attempts] == ["small", "medium", "large"]
    assert {r.purpose for r in caught.value.attempts} == {"draft"}


def failing(attempt: Attempt) -> str:
    raise UnavailableError(f"{attempt.model.name} is down", status=503)


def test_all_models_failing_raises_one_error_that_lists_them() -> None:
    with pytest.raises(AllModelsFailedError) as caught:
        router(failing).run("hi")
    for name in ("small", "medium", "large"):
        assert f"{name}: x:{name}: UnavailableError: {name} is down" in str(caught.value)
    assert [r.error_type for r in caught.value.attempts] == ["UnavailableError"] * 3


def test_an_empty_answer_is_a_failure_and_not_a_success() -> None:
    with pytest.raises(AllModelsFailedError, match="the answer is empty"):
        router(lambda _: "  ").run("hi")


def test_the_next_model_of_a_tier_is_the_fallback() -> None:
    def first_fails(attempt: Attempt) -> str:
        return failing(attempt) if attempt.model.name == "a" else "from b"

    fleet = Fleet([Tier("small", ["x:a", "x:b"]), Tier("large", "x:c")])
    reply = Router(fleet, strategy=Cascade(yes), backends={"x": first_fails}).run("hi")
    assert (reply.text, reply.model) == ("from b", "x:b")
    assert reply.attempts[1].reason == "fallback: x:a failed"


def test_a_defect_in_a_backend_propagates() -> None:
    def broken(attempt: Attempt) -> str:
        raise KeyError("defect")

    with pytest.raises(KeyError, match="defect"):
        router(broken).run("hi")


def test_a_local_task_reaches_no_other_model_on_any_hop() -> None:
    asked: list[str] = []

    def watched(attempt: Attempt) -> str:
        asked.append(attempt.model.id)
        return "hm"

    reply = router(watched).run("private", trust="local")
    assert set(asked) == {"x:small"}
    assert reply.tier == "small"


def test_a_task_that_no_model_may_see_is_refused_before_any_call() -> None:
    asked: list[str] = []
    fleet = Fleet([Tier("cloud", ["x:a", "x:b"])])
    refusing = Router(fleet, backends={"x": lambda a: asked.append(a.model.id)})
    with pytest.raises(TrustError, match="x:a"):
        refusing.run("private", trust="local")
    assert asked == []


def test_a_task_that_no_model_can_take_is_refused() -> None:
    fleet = Fleet([Tier("only", ModelSpec("x:a", capabilities=frozenset()))])
    with pytest.raises(NoModelError, match="no tools"):
        Router(fleet, backends={"x": named}).run("hi", tools=[Tool("f")])


def test_a_model_whose_context_the_tools_would_fill_is_not_asked() -> None:
    schema = {"type": "object", "properties": {"query": {"type": "string", "description": "words " * 2_000}}}
    fleet = Fleet([Tier("small", ModelSpec("x:small", window=2_000)), Tier("large", ModelSpec("x:large"))])
    made = Router(fleet, backends={"x": named})
    assert made.decide("hi").tier == "small"
    assert made.decide("hi", tools=[Tool("search", parameters=schema)]).tier == "large"


@pytest.mark.parametrize(
    "options",
    [
        {"policy": Rule(job="plan", tier="larg")},
        {"policy": Rule(job="plan", tier="small") | Always("larg")},
        {"strategy": Cascade(Judge("larg"))},
    ],
)
def test_an_unknown_tier_fails_at_start_up_and_names_the_nearest(options: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'large'"):
        router(named, **options)


def test_a_missing_backend_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_installed", dict)
    bare = Router(Fleet([Tier("only", "nobody:model")]))
    with pytest.raises(MissingExtraError, match='pip install "tierwise-litellm"'):
        bare.run("hi")


def test_a_missing_backend_of_a_higher_tier_is_told_before_any_call(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(registry, "_installed", dict)
    fleet = Fleet([Tier("small", "x:a"), Tier("large", "nobody:model")])
    half = Router(fleet, backends={"x": lambda a: asked.append(a.model.id) or "an answer"})
    with pytest.raises(MissingExtraError, match="nobody"):
        half.run("hi")
    assert asked == []
    assert half.run("hi", max_tier="small").text == "an answer"


def test_decide_asks_nobody_and_says_why() -> None:
    def never(attempt: Attempt) -> str:
        raise AssertionError("decide must not call")

    decision = router(never).decide("Plan it.", job="plan")
    assert (decision.tier, decision.rule, decision.reason) == ("large", "plan step", "job 'plan' plans")
    assert router(never).decide("hi").tier == "small"


def test_bounds_and_trust_adjust_a_decision_and_say_so() -> None:
    decision = router(named).decide("Plan it.", job="plan", max_tier="medium")
    assert decision.tier == "medium"
    assert decision.adjusted
    assert router(named).decide("x", min_tier="medium").tier == "medium"
    with pytest.raises(UnknownNameError, match="max_tier"):
        router(named).decide("x", max_tier="huge")
    with pytest.raises(ConfigError, match="above max_tier"):
        router(named).decide("x", min_tier="large", max_tier="small")


def test_a_function_is_a_policy_and_a_typo_in_it_is_named() -> None:
    def mine(task: Task, context: Context) -> Decision | str | None:
        return "large" if "hard" in task.latest_request else None

    assert router(named, policy=mine).decide("hard").tier == "large"
    assert router(named, policy=mine).decide("easy").tier == "small"


def test_a_decision_that_was_made_before_stands_and_no_policy_is_asked() -> None:
    asked: list[Task] = []
    made = router(named, policy=asked.append, strategy=Single())
    reply = made.run("x", decision=Decision("medium", rule="by hand", reason="Ada said so"))
    assert (reply.tier, reply.decision.rule, asked) == ("medium", "by hand", [])
    assert reply.attempts[0].decision_rule == "by hand"
    assert made.decide("x", decision=reply.decision) == reply.decision
    made.run("x", decision=Decision("", pending=True))
    assert len(asked) == 1


def test_a_decision_that_was_made_before_is_within_the_task_s_bounds() -> None:
    decided = router(named).decide("x", decision=Decision("large", rule="by hand"), trust="local")
    assert (decided.tier, decided.rule) == ("small", "by hand")
    with pytest.raises(UnknownNameError, match="unknown tier 'larg'; did you mean 'large'"):
        router(named).run("x", decision=Decision("larg", rule="by hand"))


def test_a_typo_in_a_function_policy_is_named() -> None:
    def misspelt(task: Task) -> str:
        return "larg"

    with pytest.raises(UnknownNameError, match=r"policy misspelt: unknown tier 'larg'; did you mean 'large'"):
        router(named, policy=misspelt).decide("x")


async def test_what_a_strategy_rejected_unseen_is_shown_by_no_driver() -> None:
    made = router(named, strategy=BestOf(3, verifier=no))
    shown: list[str] = []
    with pytest.raises(RejectedError) as caught:
        made.run("hi")
    assert (caught.value.outcome.text, len(caught.value.attempts)) == ("small", 3)
    with pytest.raises(RejectedError):
        await made.arun("hi")
    with pytest.raises(RejectedError), made.stream("hi") as stream:
        shown.extend(chunk.text for chunk in stream)
    with pytest.raises(RejectedError):
        async with made.astream("hi") as astream:
            shown.extend([chunk.text async for chunk in astream])
    assert shown == []


def test_a_sync_answer_that_comes_too_late_is_paid_for_and_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Stopwatch(monkeypatch)

    def slow(attempt: Attempt) -> Outcome:
        clock.start()
        time.sleep(0.1)
        return named(attempt)

    with pytest.raises(DeadlineError) as caught:
        router(slow).run("hi", deadline=0.05)
    (row,) = caught.value.attempts
    assert (row.state, row.cost) == ("settled", Decimal("0.002"))


async def test_async_and_streams_give_the_same_answer() -> None:
    made = router(named, strategy=Cascade(long_enough))
    assert (await made.arun("hi")).text == "medium"
    async with made.astream("hi") as stream:
        shown = [chunk.text async for chunk in stream]
    assert (shown, stream.reply.tier, len(stream.reply.attempts)) == (["medium"], "medium", 2)
    with made.stream("hi") as plain:
        assert [chunk.text for chunk in plain] == ["medium"]


def test_the_reply_of_a_stream_is_there_at_its_end() -> None:
    with router(named).stream("hi") as stream, pytest.raises(RuntimeError, match="iterate it"):
        _ = stream.reply


async def test_sync_works_inside_a_running_loop() -> None:
    async def answer(attempt: Attempt) -> str:
        await asyncio.sleep(0)
        return "from async"

    assert router(answer, strategy=Single()).run("hi").text == "from async"


async def test_a_deadline_ends_the_run_and_closes_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[bool] = []
    clock = Stopwatch(monkeypatch)

    async def slow(attempt: Attempt) -> str:
        clock.start()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "late"

    with pytest.raises(DeadlineError, match="deadline of 0") as caught:
        await router(slow).arun("hi", deadline=0.05)
    assert cancelled == [True]
    assert len(caught.value.attempts) == 1


def test_a_session_remembers_the_tier_that_answered() -> None:
    made = router(named, strategy=Cascade(long_enough))
    made.run("hi", session="s")
    kept = made.state.session_tier("s")
    assert kept == ("medium", 1000)


def test_one_router_serves_many_runs_at_once() -> None:
    async def main() -> list[str]:
        made = router(named, strategy=Cascade(long_enough))
        replies = await asyncio.gather(*(made.arun(f"task {i}") for i in range(20)))
        assert len({r.run_id for r in replies}) == 20
        return [r.text for r in replies]

    assert asyncio.run(main()) == ["medium"] * 20


def test_another_policy_over_the_same_ledger_leaves_the_router_as_it_is() -> None:
    first = router(named, policy=Always("small"), strategy=Single())
    second = first.using(policy=Always("large"))
    assert (first.run("hi").tier, second.run("hi").tier) == ("small", "large")
    assert first.receipt(second.run("hi").run_id).rows[0].model == "x:large"
    with pytest.raises(UnknownNameError, match="larg"):
        first.using(policy=Always("larg"))


def test_simple_makes_two_tiers() -> None:
    made = Router.simple(small="x:a", large=["x:b", "x:c"], backends={"x": named})
    assert made.fleet.names == ("small", "large")
    assert made.run("hi", min_tier="large").model == "x:b"
