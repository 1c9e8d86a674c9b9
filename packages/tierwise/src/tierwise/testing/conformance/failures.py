"""Models that fail, streams that break, consumers that leave."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tierwise.strategies import Single, Strategy
from tierwise.testing.conformance.harness import Asked, LeftError, Way
from tierwise.testing.conformance.suite import HELD_OR_LIVE, Suite, router
from tierwise.testing.provider import LoopbackProvider, Reply

__all__ = ["Failures"]


class Failures(Suite):
    """Models that fail, streams that break, consumers that leave."""

    @HELD_OR_LIVE
    async def test_a_failed_model_is_fallen_back_from(
        self, provider: LoopbackProvider, ask: Asked, strategy: Strategy | None
    ) -> None:
        """Before anything was shown: one request, no retry of the SDK's, then the next model."""
        provider.on("small", Reply(status=500))
        answer = await ask(self.harness.build(provider, router(strategy)))
        assert answer.text == "Large says Oslo."
        assert [c.model for c in provider.calls] == ["small", "large"]

    @HELD_OR_LIVE
    async def test_a_call_that_breaks_before_anything_was_shown_is_fallen_back_from(
        self, provider: LoopbackProvider, ask: Asked, strategy: Strategy | None
    ) -> None:
        """Headers are no answer."""
        provider.on("small", Reply(text="Oslo is it.", disconnect_after=0))
        answer = await ask(self.harness.build(provider, router(strategy)))
        assert answer.text == "Large says Oslo."
        assert ask.visible == ("Large says Oslo." if ask.streams else "")

    async def test_a_stream_that_breaks_after_something_was_shown_is_an_error(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """Nothing else is tried then, and nothing else is shown."""
        if not ask.streams:
            pytest.skip("nothing is shown before the end")
        provider.on("small", Reply(text="Oslo is it.", disconnect_after=2))
        made = self.harness.build(provider, router(Single()))
        with pytest.raises(Exception, match=r"."):
            await ask(made)
        assert ask.visible.strip() == "Oslo is"
        assert provider.count("large") == 0

    async def test_all_models_failing_is_an_error(self, provider: LoopbackProvider, ask: Asked) -> None:
        """Never an empty success."""
        provider.on("small", Reply(status=500))
        provider.on("large", Reply(status=401))
        made = self.harness.build(provider, router())
        with pytest.raises(Exception, match="all models failed"):
            await ask(made)

    async def test_leaving_a_stream_closes_the_call(self, provider: LoopbackProvider, ask: Asked) -> None:
        """The provider learns that nobody listens."""
        if not ask.streams:
            pytest.skip("there is nothing to leave")
        provider.on("small", Reply(text="Oslo is it.", stall_after=2))
        made = self.harness.build(provider, router(Single()))
        with suppress(LeftError):
            await ask(made, leave_after=1)
        await asyncio.to_thread(provider.wait_idle)
        assert [c.client_closed for c in provider.calls] == [True]

    async def test_cancelling_closes_the_call(self, provider: LoopbackProvider) -> None:
        """Also where the answer is held."""
        asynchronous: tuple[Way, ...] = ("ainvoke", "astream")
        for way in set(asynchronous) & set(self.harness.ways):
            provider.on("small", Reply(stall=True))
            running = asyncio.create_task(Asked(self.harness, way)(self.harness.build(provider, router())))
            await asyncio.to_thread(provider.wait_until, lambda: provider.open_calls == 1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await asyncio.to_thread(provider.wait_idle)
        assert provider.count("large") == 0
