from __future__ import annotations

from typing import Any

import pytest
from tierwise import AfterError, HighStakes, Router
from tierwise.flow import Attempt
from tierwise.task import Message, Task, Tool, ToolCall

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
