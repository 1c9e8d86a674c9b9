"""From results to receipts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from tierwise import Reply as Answer
from tierwise import Router, SQLiteLedger
from tierwise.errors import LedgerError
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_langgraph import RoutedChatModel, bill, receipt_of

Make = Callable[..., RoutedChatModel]

DRAFT = "This draft is far too long to be accepted"


@pytest.fixture
def model(provider: LoopbackProvider, routed: Make) -> RoutedChatModel:
    provider.on("small", Reply(text="Because."), Reply(text=DRAFT))
    provider.on("large", Reply(text="It is so."))
    return routed()


def test_a_message_a_list_and_a_state_lead_to_the_same_rows(model: RoutedChatModel, replies: list[Answer]) -> None:
    first, second = model.invoke("Why?"), model.invoke("Why?")
    rows = replies[0].attempts + replies[1].attempts
    assert receipt_of(model.router, first).rows == replies[0].attempts
    assert receipt_of(model.router, [first, second]).rows == rows
    assert receipt_of(model.router, {"messages": ["x", first, second], "step": 1}).rows == rows
    # A summary may have replaced the messages: what was billed stays.
    assert receipt_of(model.router, {"messages": [], **bill(first, second)}).rows == rows
    assert len({row.call_id for row in rows}) == 3


def test_a_ledger_gives_the_receipt_of_another_process_s_state(
    provider: LoopbackProvider, models: dict[str, Any], tmp_path: Path
) -> None:
    provider.on("small", Reply(json={"a": 1}))
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        router = Router.simple(small="ollama:small", large="openai:large", ledger=ledger)
        kept = RoutedChatModel(router, models=models).with_structured_output(method="json_mode", include_raw=True)
        state = {"answers": [kept.invoke("Why?")["raw"]]}
    with SQLiteLedger(tmp_path / "ledger.db") as ledger:
        other = Router.simple(small="ollama:small", large="openai:large", ledger=ledger)
        assert [row.model for row in receipt_of(other, state).rows] == ["ollama:small"]


def test_what_came_from_no_routed_model_has_no_receipt(model: RoutedChatModel) -> None:
    with pytest.raises(LedgerError, match="nothing to bill"):
        receipt_of(model.router, AIMessage("Because."))
