"""From an agent's result to its receipt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel
from tierwise import Judge, Router, SQLiteLedger
from tierwise.errors import AllModelsFailedError, LedgerError
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_pydantic_ai import RoutedModel, receipt_of

Make = Callable[..., RoutedModel]


async def test_it_has_every_call_of_the_run_and_none_of_another(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="This draft is far too long to be accepted"))
    provider.on("large", Reply(text="Because."))
    model = routed()
    first = await Agent(model).run("Why?")
    second = await Agent(model).run("And then?", message_history=first.all_messages())
    async with Agent(model).run_stream("Once more?") as streamed:
        await streamed.get_output()
    for result, calls in ((first, 2), (second, 2), (streamed, 2)):
        assert [r.purpose for r in receipt_of(model._router, result).rows] == ["draft", "answer"][:calls]
    whole = receipt_of(model._router, second.all_messages())
    assert [r.model for r in whole.rows] == ["ollama:small", "openai:large"] * 2
    billed = [(c.billed_input, c.billed_output) for c in provider.calls[:4]]
    assert [(r.usage.input_tokens, r.usage.output_tokens) for r in whole.rows if r.usage] == billed


async def test_judges_are_on_it(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Because."))
    provider.on("large", Reply(json={"reason": "It is so.", "score": 9}))
    model = routed(verifier=Judge())
    result = await Agent(model).run("Why?")
    assert [r.purpose for r in receipt_of(model._router, result).rows] == ["answer", "judge"]


async def test_it_can_be_read_by_another_process_s_router(
    provider: LoopbackProvider, models: dict[str, Model], tmp_path: Path
) -> None:
    provider.on("small", Reply(text="Because."))
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        router = Router.simple(small="ollama:small", large="openai:large", ledger=ledger)
        provider.on("large", Reply(json={"reason": "It is so.", "score": 9}))
        result = await Agent(RoutedModel(router, models=models)).run("Why?")
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        other = Router.simple(small="ollama:small", large="openai:large", ledger=ledger)
        assert len(receipt_of(other, result).rows) == 2


async def test_a_run_that_failed_has_one_too(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(status=500))
    model = routed()
    with pytest.raises(AllModelsFailedError) as failed:
        await Agent(model).run("Why?")
    assert [r.error_type for r in receipt_of(model._router, failed.value).rows] == ["UnavailableError"] * 2


async def test_what_no_router_answered_has_none(routed: Make) -> None:
    result = await Agent(TestModel()).run("Why?")
    with pytest.raises(LedgerError, match="nothing to bill"):
        receipt_of(routed()._router, result)
