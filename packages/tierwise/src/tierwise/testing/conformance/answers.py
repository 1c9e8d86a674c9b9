"""What comes back: texts, tool calls, typed outputs."""

from __future__ import annotations

import pytest

from tierwise.policies import Always
from tierwise.strategies import Strategy
from tierwise.testing.conformance.harness import Asked, Question
from tierwise.testing.conformance.suite import HELD_OR_LIVE, PAY, WEATHER, Suite, city, router, typed
from tierwise.testing.provider import Call, LoopbackProvider, Reply

__all__ = ["Answers"]


class Answers(Suite):
    """What comes back: texts, tool calls, typed outputs."""

    async def test_the_small_tier_answers_with_one_call(self, provider: LoopbackProvider, ask: Asked) -> None:
        """The plain case."""
        answer = await ask(self.harness.build(provider, router()))
        assert answer.text == "Oslo is it."
        assert [c.model for c in provider.calls] == ["small"]
        assert ask.visible == ("Oslo is it." if ask.streams else "")

    async def test_a_valid_tool_call_of_the_small_tier_costs_one_call(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """Empty text beside a tool call is no weak answer."""
        provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
        answer = await ask(self.harness.build(provider, router()), Question(tools=(WEATHER, PAY)))
        assert answer.tool_calls == (("weather", {"city": "Oslo"}),)
        assert provider.count() == 1
        assert {t["function"]["name"] for t in provider.calls[0].tools} == {"weather", "pay"}

    @HELD_OR_LIVE
    async def test_parallel_tool_calls_keep_their_order(
        self, provider: LoopbackProvider, ask: Asked, strategy: Strategy | None
    ) -> None:
        """One turn, several calls; in both dialects, where a stream cuts them into pieces."""
        cities = ("Oslo", "Bergen", "Bodø")
        for model in ("small", "large"):
            provider.on(model, Reply(tool_calls=[Call("weather", {"city": c}) for c in cities]))
            made = self.harness.build(provider, router(strategy, Always(model)))
            answer = await ask(made, Question(tools=(WEATHER,)))
            assert [arguments["city"] for _, arguments in answer.tool_calls] == [*cities]

    @HELD_OR_LIVE
    async def test_a_tool_call_that_is_written_as_text_costs_one_call(
        self, provider: LoopbackProvider, ask: Asked, strategy: Strategy | None
    ) -> None:
        """It is read out of the text before anything judges it, and is never shown as a text."""
        provider.on("small", Reply(text='{"name": "weather", "arguments": {"city": "Oslo"}}'))
        answer = await ask(self.harness.build(provider, router(strategy)), Question(tools=(WEATHER,)))
        assert answer.tool_calls == (("weather", {"city": "Oslo"}),)
        assert provider.count() == 1
        assert ask.visible == ""

    async def test_a_typed_output_of_the_small_tier_costs_one_call(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """The framework's own type comes back, whichever way it asks for it."""
        typed(provider, "small", {"name": "Oslo", "people": 1})
        answer = await ask(self.harness.build(provider, router()), Question(output_type=city()))
        assert answer.output == city()(name="Oslo", people=1)
        assert provider.count() == 1

    async def test_a_wrong_typed_output_goes_up(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Escalation by shape."""
        typed(provider, "small", {"name": "Oslo"})
        typed(provider, "large", {"name": "Oslo", "people": 2})
        answer = await ask(self.harness.build(provider, router()), Question(output_type=city()))
        assert answer.output == city()(name="Oslo", people=2)
        assert [c.model for c in provider.calls] == ["small", "large"]

    @pytest.mark.parametrize("wrong", [Call("unknown"), Call("weather", {"town": 3})], ids=["name", "arguments"])
    async def test_a_wrong_tool_call_goes_up(self, provider: LoopbackProvider, ask: Asked, wrong: Call) -> None:
        """Escalation by the tool's schema."""
        provider.on("small", Reply(tool_calls=[wrong]))
        provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
        answer = await ask(self.harness.build(provider, router()), Question(tools=(WEATHER,)))
        assert answer.tool_calls == (("weather", {"city": "Oslo"}),)
