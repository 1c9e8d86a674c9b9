from __future__ import annotations

from typing import Any

import pytest
from tierwise import ActStep, AfterError, Always, HighStakes, JobTable, PlanStep, Router, SessionAffinity
from tierwise.attempt import Attempt
from tierwise.errors import ConfigError
from tierwise.messages import Message, Tool, ToolCall
from tierwise.policies import Classifier
from tierwise.strategies import act_only
from tierwise.task import Task

USER = Message("user", "q")
CALLS = Message("assistant", tool_calls=(ToolCall("a", id="1"), ToolCall("b", id="2")))
FINE = Message("tool", "ok", name="b", tool_call_id="2")
FAILED = Message("tool", "boom", name="a", tool_call_id="1", failed=True)


def test_high_stakes_start_high(bench: Any) -> None:
    assert bench.tier(HighStakes(), Task("q", stakes="high")) == "large"
    assert bench.tier(HighStakes("medium"), Task("q", stakes="high")) == "medium"
    assert bench.tier(HighStakes(), "q") is None
    assert list(HighStakes("medium").refs()) == ["medium"]


def test_a_tool_with_high_stakes_that_is_merely_offered_starts_nothing_high(bench: Any) -> None:
    assert bench.tier(HighStakes(), Task("q", tools=[Tool("pay", stakes="high")])) is None


@pytest.mark.parametrize(
    ("messages", "tier"),
    [
        ([USER], None),
        ([USER, CALLS, FAILED], "medium"),
        ([USER, CALLS, FINE], None),
        ([USER, CALLS, FAILED, FINE], "medium"),
        ([USER, CALLS, FINE, FAILED], "medium"),
        ([USER, CALLS, FAILED, Message("assistant", "sorry"), USER], None),
        ([USER, Message("assistant", "{"), Message("user", "no JSON", failed=True)], "medium"),
    ],
)
def test_the_step_after_a_failure_goes_up(bench: Any, messages: list[Message], tier: str | None) -> None:
    assert bench.tier(AfterError(), Task(messages)) == tier


@pytest.mark.parametrize(
    ("kept", "tier"), [("small", "medium"), ("medium", "large"), ("large", "large"), ("long", "large")]
)
def test_it_goes_up_from_where_the_session_was(bench: Any, kept: str, tier: str) -> None:
    bench.state.keep_session("s", kept, 100)
    decision = bench.decide(AfterError(), Task([USER, CALLS, FAILED], session="s"))
    assert (decision.tier, decision.reason) == (tier, f"tool 'a' failed, after tier {kept}")


def test_an_agent_that_fails_twice_climbs_twice() -> None:
    def answer(attempt: Attempt) -> str:
        return attempt.model.name

    def yes(outcome: Any) -> bool:
        return True

    from tierwise import Cascade, Fleet, Tier

    fleet = Fleet([Tier(name, f"x:{name}") for name in ("small", "medium", "large")])
    router = Router(fleet, backends={"x": answer}, strategy=Cascade(yes))
    steps = [Task(USER.content, session="s"), *[Task([USER, CALLS, FAILED], session="s")] * 2]
    assert [router.run(step).tier for step in steps] == ["small", "medium", "large"]


@pytest.mark.parametrize(
    "fields",
    [
        {"job": "plan"},
        {"job": "planning"},
        {"node": "planner"},
        {"node": "make_plan"},
        {"node": "PlannerNode"},
        {"node": "replan"},
        {"role": "Trip Planner"},
        {"role": "Task Execution Planner"},
    ],
)
def test_a_step_that_says_it_plans_starts_high(bench: Any, fields: dict[str, Any]) -> None:
    decision = bench.decide(PlanStep(), Task("q", **fields))
    assert (decision.tier, decision.rule, decision.firm) == ("large", "plan step", True)
    assert bench.tier(PlanStep("medium"), Task("q", **fields)) == "medium"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"job": "code"},
        {"node": "execute_plan"},
        {"node": "plan_executor"},
        {"node": "explanation"},
        {"role": "Plant biologist"},
        {"node": "airplane"},
    ],
)
def test_other_steps_are_left_to_other_policies(bench: Any, fields: dict[str, Any]) -> None:
    assert bench.tier(PlanStep(), Task("q", **fields)) is None


@pytest.mark.parametrize(
    ("messages", "tier"),
    [
        ([USER], "large"),
        ([USER, CALLS, FINE, Message("assistant", "Done."), USER], "large"),
        ([USER, Message("assistant", "Hm."), Message("user", "no JSON", failed=True)], "large"),
        ([USER, CALLS, FINE], None),
        ([USER, CALLS, FINE, Message("user", "no JSON", failed=True)], None),
    ],
)
def test_an_agents_first_step_can_count_as_planning(bench: Any, messages: list[Message], tier: str | None) -> None:
    assert bench.tier(PlanStep(first=True), Task(messages, tools=[Tool("a")])) == tier
    assert bench.tier(PlanStep(first=True), Task(messages)) is None
    assert bench.tier(PlanStep(), Task(messages, tools=[Tool("a")])) is None


def test_a_typed_output_by_a_tool_is_no_agents_first_step(bench: Any) -> None:
    assert bench.tier(PlanStep(first=True), Task("q", tools=[Tool("answer")], tools_required=True)) is None
    assert (
        bench.tier(PlanStep(first=True), Task("q", tools=[Tool("a"), Tool("answer")], tools_required=True)) == "large"
    )


AFTER = Task([USER, CALLS, FINE], tools=[Tool("a"), Tool("b")])


def test_after_a_tools_result_the_lowest_tier_acts_and_the_next_one_writes(bench: Any) -> None:
    decision = bench.decide(ActStep(), AFTER)
    assert (decision.tier, decision.then, decision.rule, decision.firm) == ("small", "medium", "act step", True)
    assert decision.gate == act_only()
    assert decision.reason == "after a tool's result small acts, and medium writes"


@pytest.mark.parametrize(("job", "then"), [("review", "large"), ("unheard of", "medium")])
def test_who_would_have_tried_first_writes(bench: Any, job: str, then: str) -> None:
    decision = bench.decide(ActStep(JobTable()), Task.of(AFTER, job=job))
    assert (decision.tier, decision.then) == ("small", then)


def test_where_the_tier_that_acts_is_the_one_that_answers_it_just_answers(bench: Any) -> None:
    decision = bench.decide(ActStep(JobTable()), Task.of(AFTER, job="summarize"))
    assert (decision.tier, decision.rule, decision.gate) == ("small", "job table", None)
    assert bench.decide(ActStep(), Task.of(AFTER, max_tier="small")) is None


@pytest.mark.parametrize(
    "task",
    [
        Task([USER], tools=[Tool("a")]),
        Task([USER, CALLS, FINE]),
        Task([USER, CALLS, FAILED, FINE], tools=[Tool("a")]),
        Task([USER, CALLS, FINE, USER], tools=[Tool("a")]),
        Task.of(AFTER, stakes="high"),
    ],
    ids=["first", "no tools", "failed", "next turn", "high stakes"],
)
def test_other_steps_are_the_answering_policys(bench: Any, task: Task) -> None:
    assert bench.decide(ActStep(Always("medium")), task).rule == "always"
    assert bench.decide(ActStep(), task) is None


def hard(attempt: Attempt) -> str:
    return '{"label": "hard"}'


def test_the_answering_policy_may_have_to_ask(bench: Any) -> None:
    policy = ActStep(Classifier("small"), tier="small")
    assert bench.decide(policy, AFTER).pending
    decision = bench.run(policy, AFTER, hard).decision
    assert (decision.tier, decision.then) == ("small", "large")
    assert (list(policy.refs()), list(policy.model_refs())) == (["small"], ["small"])


def test_some_prose_may_come_before_a_call(bench: Any) -> None:
    assert bench.decide(ActStep(prose=40), AFTER).gate == act_only(prose=40)
    with pytest.raises(ConfigError, match="prose=-1"):
        ActStep(prose=-1)


@pytest.mark.parametrize(
    ("policy", "task", "tier"),
    [
        (ActStep(), AFTER, "small"),
        (PlanStep("small"), Task("q", node="planner"), "small"),
        (Always("small"), AFTER, "large"),
    ],
)
def test_a_step_rule_beats_the_tier_of_a_session(bench: Any, policy: Any, task: Task, tier: str) -> None:
    bench.state.keep_session("s", "large", 100)
    assert bench.tier(SessionAffinity(policy), Task.of(task, session="s")) == tier
