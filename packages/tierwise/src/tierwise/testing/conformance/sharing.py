"""One router for many runs: trust, threads, the bill."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tierwise.strategies import Cascade
from tierwise.testing.conformance.harness import Asked, Question
from tierwise.testing.conformance.suite import DRAFT, Suite, prompt_of, router, short
from tierwise.testing.provider import LoopbackProvider, Reply, Request
from tierwise.verifiers import Judge, free_verifier

__all__ = ["Sharing"]


class Sharing(Suite):
    """One router for many runs: trust, threads, the bill."""

    async def test_a_local_task_reaches_no_other_model(self, provider: LoopbackProvider, ask: Asked) -> None:
        """No hop breaks the task's trust: no escalation, no judge, no fallback."""
        provider.on("small", Reply(text=DRAFT))
        strategy = Cascade(free_verifier() & short & Judge("large"))
        await ask(self.harness.build(provider, router(strategy), trust="local"))
        assert {c.model for c in provider.calls} == {"small"}
        provider.on("small", Reply(status=500))
        with pytest.raises(Exception, match="all models failed"):
            await ask(self.harness.build(provider, router(strategy), trust="local"))
        assert provider.count("large") == 0

    async def test_usage_is_the_answers_own_and_the_receipt_is_the_whole_bill(
        self, provider: LoopbackProvider, ask: Asked
    ) -> None:
        """Both are what the provider counted."""
        provider.on("small", Reply(text=DRAFT))
        shared = router()
        answer = await ask(self.harness.build(provider, shared, session="bill"))
        draft, final = provider.calls
        rows = shared.receipt(session="bill").rows
        assert [(r.usage.input_tokens, r.usage.output_tokens, r.usage.estimated) for r in rows if r.usage] == [
            (call.billed_input, call.billed_output, False) for call in (draft, final)
        ]
        if answer.usage is None:
            pytest.skip("the framework reports no usage")
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (final.billed_input, final.billed_output)

    async def test_one_router_serves_many_runs_at_once(self, provider: LoopbackProvider) -> None:
        """Twenty runs beside each other get their own answers, and their own escalations."""

        def small(request: Request) -> Reply:
            prompt = prompt_of(request)
            return Reply(text=DRAFT if prompt.endswith("odd.") else f"Small: {prompt}")

        provider.on("small", small)
        provider.on("large", lambda request: Reply(text=f"Large: {prompt_of(request)}"))
        shared = router()
        prompts = [f"Run {i} is {'odd' if i % 2 else 'even'}." for i in range(20)]
        made = [self.harness.build(provider, shared) for _ in prompts]
        way = "ainvoke" if "ainvoke" in self.harness.ways else "invoke"
        answers = await asyncio.gather(
            *(Asked(self.harness, way)(b, Question(prompt=p)) for b, p in zip(made, prompts, strict=True))
        )
        expected = [f"{'Large' if 'odd' in p else 'Small'}: {p}" for p in prompts]
        assert [a.text for a in answers] == expected
        assert (provider.count("small"), provider.count("large")) == (20, 10)

    def test_sync_works_without_a_loop_and_beside_threads(self, provider: LoopbackProvider) -> None:
        """No event loop of the caller's is needed."""
        if "invoke" not in self.harness.ways:
            pytest.skip("the framework has no sync way")
        made = self.harness.build(provider, router())
        texts: list[str] = []
        threads = [
            threading.Thread(target=lambda: texts.append(self.harness.invoke(made, Question()).text)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert texts == ["Oslo is it."] * 4
