from __future__ import annotations

from typing import Any

from tierwise.messages import Message, Tool, ToolCall
from tierwise.policies import Rule, default_policy
from tierwise.task import Task


def test_stakes_come_before_failures_and_these_before_the_job(bench: Any) -> None:
    failed = Message("tool", "boom", name="f", failed=True)
    policy = default_policy()
    assert bench.tier(policy, Task([failed], job="summarize", stakes="high")) == "large"
    assert bench.tier(policy, Task([failed], job="summarize")) == "medium"
    assert bench.tier(policy, Task("q", job="summarize")) == "small"
    assert bench.tier(policy, Task("q")) is None


def test_planning_comes_before_acting_and_rules_of_ones_own_before_both(bench: Any) -> None:
    call = Message("assistant", tool_calls=(ToolCall("f", id="1"),))
    after = Task([Message("user", "q"), call, Message("tool", "ok", name="f", tool_call_id="1")], tools=[Tool("f")])
    assert bench.decide(default_policy(), after).rule == "act step"
    assert bench.decide(default_policy(), Task.of(after, node="planner")).rule == "plan step"
    own = default_policy(Rule(node="planner", tier="medium"))
    assert bench.decide(own, Task.of(after, node="planner")).tier == "medium"
