"""An agent that turns in a circle goes up one tier, and no further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import ActStep, Always, Cascade, Fleet, Router, SessionAffinity, Stalled, Tier
from tierwise.attempt import Attempt, Outcome
from tierwise.context import Context, Decision
from tierwise.errors import ConfigError
from tierwise.messages import Message, Tool, ToolCall
from tierwise.policies import Classifier, Policy, default_policy
from tierwise.state import MemoryState
from tierwise.task import Task

USER = Message("user", "Find it.")
TOOLS = [Tool("look"), Tool("poll")]
SECRET = {"where": "my secret place"}


def step(result: str, tool: str = "look", *, failed: bool = False, **arguments: Any) -> list[Message]:
    """One call of a tool, and its result."""
    return steps((tool, result, arguments or SECRET, failed))


def steps(*calls: tuple[str, str, dict[str, Any], bool]) -> list[Message]:
    """Calls side by side, and their results."""
    asked = Message("assistant", tool_calls=tuple(ToolCall(c[0], c[2], id=f"{i}") for i, c in enumerate(calls)))
    return [
        asked,
        *(Message("tool", c[1], name=c[0], tool_call_id=f"{i}", failed=c[3]) for i, c in enumerate(calls)),
    ]


def task(*messages: Sequence[Message], **fields: Any) -> Task:
    return Task([USER, *(m for several in messages for m in several)], tools=TOOLS, **fields)


NOTHING = step("nothing there")
CIRCLE = task(NOTHING, NOTHING)


def test_the_same_call_with_the_same_result_goes_up_and_says_so(bench: Any) -> None:
    decision = bench.decide(Stalled(Always("small")), CIRCLE)
    assert (decision.tier, decision.rule, decision.firm) == ("medium", "stalled, over always", True)
    assert decision.reason == "tool 'look' gave the same result 2 times: above small"
    assert bench.decide(Stalled(), CIRCLE).rule == "stalled"


@pytest.mark.parametrize(
    ("asked", "tier"),
    [
        (task(NOTHING), "small"),
        (task(NOTHING, step("a key")), "small"),
        (task(NOTHING, step("nothing there", where="elsewhere")), "small"),
        (task(NOTHING, step("nothing there", tool="poll")), "small"),
        (task(step("pending", "poll"), step("running", "poll"), step("done", "poll")), "small"),
        (task(NOTHING, step("a key", where="box"), NOTHING), "medium"),
        (task(NOTHING, NOTHING, step("a key", where="box")), "small"),
        (task(NOTHING, NOTHING, [Message("user", "And now?")], NOTHING), "small"),
        (task(NOTHING, NOTHING, [Message("assistant", "It is gone.")]), "small"),
    ],
)
def test_what_is_new_is_progress(bench: Any, asked: Task, tier: str) -> None:
    assert bench.tier(Stalled(Always("small")), asked) == tier


def test_parallel_calls_are_one_step(bench: Any) -> None:
    both = steps(("look", "nothing", SECRET, False), ("poll", "pending", {}, False))
    half = steps(("look", "nothing", SECRET, False), ("poll", "done", {}, False))
    assert bench.tier(Stalled(Always("small")), task(both)) == "small"
    assert bench.tier(Stalled(Always("small")), task(both, half)) == "small"
    assert bench.tier(Stalled(Always("small")), task(both, both)) == "medium"


def test_several_steps_that_fail_are_no_progress(bench: Any) -> None:
    failures = [step(f"error {i}", failed=True) for i in range(3)]
    assert bench.tier(Stalled(Always("small")), task(*failures[:2])) == "small"
    decision = bench.decide(Stalled(Always("small")), task(*failures))
    assert decision.tier == "medium"
    assert decision.reason == "3 steps without progress, the last a call of tool 'look': above small"
    assert bench.tier(Stalled(Always("small")), task(failures[0], NOTHING, *failures[1:])) == "small"
    assert bench.tier(Stalled(Always("small"), steps=2), task(*failures[:2])) == "medium"


def test_how_many_repeats_are_too_many_is_a_setting(bench: Any) -> None:
    policy = Stalled(Always("small"), repeats=3)
    assert bench.tier(policy, CIRCLE) == "small"
    assert bench.tier(policy, task(NOTHING, NOTHING, NOTHING)) == "medium"


def test_results_without_ids_are_told_by_their_tools(bench: Any) -> None:
    bare = [Message("assistant", tool_calls=(ToolCall("look", SECRET),)), Message("tool", "nothing", name="look")]
    assert bench.tier(Stalled(Always("small")), task(bare, bare)) == "medium"


@pytest.mark.parametrize(("decided", "tier"), [("medium", "large"), ("large", "large"), ("long", "long")])
def test_it_goes_up_from_what_would_be_decided_otherwise(bench: Any, decided: str, tier: str) -> None:
    assert bench.tier(Stalled(Always(decided)), CIRCLE) == tier


def test_bounds_hold(bench: Any) -> None:
    assert bench.tier(Stalled(Always("small")), task(NOTHING, NOTHING, max_tier="small")) == "small"
    assert bench.tier(Stalled(Always("small")), task(NOTHING, NOTHING, min_tier="medium")) == "large"


def test_a_step_that_would_only_act_is_the_higher_tiers_own(bench: Any) -> None:
    decision = bench.decide(Stalled(ActStep()), CIRCLE)
    assert (decision.tier, decision.gate, decision.then) == ("medium", None, None)


def test_no_words_of_a_model_stand_in_the_reason(bench: Any) -> None:
    invented = step("no such tool", "my secret tool", failed=True)
    decision = bench.decide(Stalled(), task(invented, invented))
    assert decision.reason == "a tool that is not offered gave the same result 2 times: above small"
    assert "secret" not in bench.decide(Stalled(), CIRCLE).reason


def of_medium(attempt: Attempt) -> str:
    return '{"label": "medium"}'


def test_a_policy_that_has_to_ask_is_asked_first(bench: Any) -> None:
    policy = Stalled(Classifier("small"))
    assert bench.decide(policy, CIRCLE).pending
    assert bench.run(policy, CIRCLE, of_medium).decision.tier == "large"
    assert (list(policy.refs()), list(policy.model_refs())) == ([], ["small"])


def test_a_history_of_any_length_is_read_to_the_same_depth(bench: Any) -> None:
    long_ago = task(NOTHING, *(step(f"result {i}", n=i) for i in range(40)), NOTHING)
    assert bench.tier(Stalled(Always("small")), long_ago) == "small"


def say(attempt: Attempt) -> Outcome:
    return Outcome(attempt, tool_calls=(ToolCall("look", SECRET, id="x"),))


def yes(outcome: Outcome) -> bool:
    return True


def run(policy: Policy) -> list[str]:
    """The tiers that answer an agent whose tool always says the same, one for each of five steps."""
    fleet = Fleet([Tier(name, f"x:{name}") for name in ("small", "medium", "large", "huge")])
    router = Router(fleet, policy=policy, backends={"x": say}, strategy=Cascade(yes))
    return [router.run(task(*[NOTHING] * i, session="s")).tier for i in range(5)]


@pytest.mark.parametrize("policy", [Stalled(Always("small")), SessionAffinity(Stalled(Always("small")))])
def test_however_long_it_lasts_it_climbs_once(policy: Policy) -> None:
    assert run(policy) == ["small", "small", "medium", "medium", "medium"]


def test_a_session_keeps_the_tier_only_from_outside() -> None:
    with pytest.raises(ConfigError, match=r"write SessionAffinity\(Stalled"):
        Stalled(SessionAffinity(Always("small")))


def test_the_receipt_says_it() -> None:
    router = Router.simple(small="x:small", large="x:large", backends={"x": say})
    row = router.run(CIRCLE).attempts[0]
    assert (row.tier, row.decision_rule) == ("large", "stalled, over act step")
    assert row.reason == "tool 'look' gave the same result 2 times: above small"


@pytest.mark.parametrize("fields", [{"repeats": 1}, {"steps": 0}])
def test_a_wrong_setting_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Stalled(**fields)


names = st.sampled_from(["look", "poll", "unknown"])
calls = st.builds(ToolCall, names, st.sampled_from([{}, {"n": 1}]), id=st.sampled_from(["", "a", "b"]))
messages = st.one_of(
    st.builds(Message, st.sampled_from(["user", "system"]), st.sampled_from(["", "x"]), failed=st.booleans()),
    st.builds(Message, st.just("assistant"), st.just(""), tool_calls=st.lists(calls, max_size=2).map(tuple)),
    st.builds(
        Message,
        st.just("tool"),
        st.sampled_from(["", "x"]),
        name=st.none() | names,
        tool_call_id=st.sampled_from([None, "a", "b"]),
        failed=st.booleans(),
    ),
)
FLEET = Fleet(
    [Tier("small", "x:small"), Tier("medium", "x:medium"), Tier("large", "x:large")],
    specialists=[Tier("long", "x:long")],
)
tasks = st.builds(
    Task,
    st.lists(messages, min_size=1, max_size=12),
    tools=st.sampled_from([[], TOOLS]),
    tools_required=st.booleans(),
    job=st.sampled_from([None, "plan", "code", "review", "answer"]),
    node=st.sampled_from([None, "planner", "agent"]),
    stakes=st.sampled_from(["normal", "high"]),
    max_tier=st.sampled_from([None, "medium", "small"]),
)


@given(tasks, st.sampled_from([None, *FLEET.names]))
def test_the_rules_are_functions_of_the_task_and_name_tiers_of_the_ladder(asked: Task, kept: str | None) -> None:
    state = MemoryState()
    given_task = Task.of(asked, session="s")
    if kept is not None:
        state.keep_session("s", kept, 100)
    context = Context.of(FLEET, given_task, state)
    policy, other = SessionAffinity(default_policy()), SessionAffinity(default_policy())
    decision = policy.decide(given_task, context)
    assert decision == policy.decide(given_task, context) == other.decide(given_task, context)
    if decision is not None:
        assert decision.tier in FLEET.names
        assert decision.then is None or decision.then in FLEET.names
        climbed = context.starting(decision).climb(gated=True)
        assert [t.name for t in climbed if t.name not in (*(r.name for r in context.reach), "long")] == []


@given(tasks, st.sampled_from(["small", "medium", "large"]))
def test_a_stalled_agent_goes_exactly_one_tier_up(asked: Task, tier: str) -> None:
    context = Context.of(FLEET, asked, MemoryState())
    decision = Stalled(Always(tier)).decide(asked, context)
    assert decision is not None
    if decision.rule != "always":
        before = context.starting(Decision(tier)).climb()[0]
        reach = list(context.reach)
        assert decision.tier == reach[reach.index(before) + 1].name
