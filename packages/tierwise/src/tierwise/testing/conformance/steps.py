"""The steps of an agent: what plans, what acts, and what writes."""

from __future__ import annotations

from tierwise.strategies import Cascade, act_only
from tierwise.testing.conformance.harness import Asked, Question
from tierwise.testing.conformance.suite import DRAFT, WEATHER, Suite, router
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise.verifiers import free_verifier

__all__ = ["Steps"]


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
