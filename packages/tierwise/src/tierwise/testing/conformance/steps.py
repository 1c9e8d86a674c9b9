"""The steps of an agent: what plans, what acts, and what writes."""

from __future__ import annotations

import pytest

from tierwise.messages import Message, ToolCall
from tierwise.strategies import Cascade, Single, Strategy, act_only
from tierwise.testing.conformance.harness import Asked, Question
from tierwise.testing.conformance.suite import DRAFT, WEATHER, Suite, router
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise.verifiers import free_verifier

__all__ = ["Steps"]

ASKED = Message("user", "How warm is it in Oslo, and in Bergen?")
STRATEGIES = pytest.mark.parametrize("strategy", [None, Single()], ids=["cascade", "single"])


def step(call_id: str) -> tuple[Message, Message]:
    """A call of the tool, and its result: the same each time."""
    call = ToolCall("weather", {"city": "Oslo"}, id=call_id)
    return Message("assistant", tool_calls=(call,)), Message("tool", "12", name="weather", tool_call_id=call_id)


AFTER = Question(history=(ASKED, *step("call00001")), tools=(WEATHER,))
STALLED = Question(history=(ASKED, *step("call00001"), *step("call00002")), tools=(WEATHER,))


class Steps(Suite):
    """The steps of an agent: what plans, what acts, and what writes."""

    async def test_a_gated_tool_call_is_the_answer_and_gated_prose_is_not(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """A gate decides the same, whether anybody watches or not."""
        made = self.harness.build(provider, router(Cascade(free_verifier(), gate=act_only())))
        provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text=DRAFT))
        question = Question(tools=(WEATHER,))
        assert (await ask(made, question)).tool_calls == (("weather", {"city": "Oslo"}),)
        provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Bergen"})]))
        assert (await ask(made, question)).tool_calls == (("weather", {"city": "Bergen"}),)
        assert "draft" not in ask.visible

    async def test_a_step_that_plans_goes_up(self, provider: LoopbackProvider, ask: Asked) -> None:
        """By the name of its node."""
        answer = await ask(self.harness.build(provider, router(), node="planner"))
        assert answer.text == "Large says Oslo."
        assert [c.model for c in provider.calls] == ["large"]

    @STRATEGIES
    async def test_after_a_tools_result_a_further_valid_call_is_one_call(
        self, provider: LoopbackProvider, ask: Asked, strategy: Strategy | None
    ) -> None:
        """The small tier acts."""
        provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Bergen"})]))
        answer = await ask(self.harness.build(provider, router(strategy)), AFTER)
        assert answer.tool_calls == (("weather", {"city": "Bergen"}),)
        assert [c.model for c in provider.calls] == ["small"]

    @STRATEGIES
    async def test_after_a_tools_result_prose_is_stopped_and_the_answering_tier_writes(
        self, provider: LoopbackProvider, ask: Asked, strategy: Strategy | None
    ) -> None:
        """Nobody sees what the small tier began to write."""
        answer = await ask(self.harness.build(provider, router(strategy)), AFTER)
        assert answer.text == "Large says Oslo."
        assert [c.model for c in provider.calls] == ["small", "large"]
        assert ask.visible == ("Large says Oslo." if ask.streams else "")

    async def test_an_agent_that_turns_in_a_circle_goes_up(self, provider: LoopbackProvider, ask: Asked) -> None:
        """And the receipt says why."""
        shared = router()
        await ask(self.harness.build(provider, shared, session="circle"), STALLED)
        assert [c.model for c in provider.calls] == ["large"]
        (row,) = shared.receipt(session="circle").rows
        assert row.decision_rule.startswith("stalled")
        assert "tool 'weather' gave the same result 2 times" in row.reason
