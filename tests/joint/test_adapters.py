"""One policy, one ledger and one bill in all three frameworks at once, in one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

for _name, _value in {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
}.items():
    os.environ[_name] = _value

from crewai import LLM
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from pydantic_ai import Agent, ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Router, SQLiteLedger, Tier
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_crewai import RoutedLLM
from tierwise_langgraph import RoutedChatModel
from tierwise_pydantic_ai import RoutedModel

DRAFT = "a draft that rambles on and on and on and on and on"
QUESTION = "What is the capital of France?"


def short(outcome: Outcome) -> bool:
    return len(outcome.text) < 20


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        running.on("small", Reply(text=DRAFT))
        running.on("large", Reply(text="Paris."))
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SQLiteLedger]:
    with SQLiteLedger(tmp_path / "ledger.db") as made:
        yield made


@pytest.fixture
def router(ledger: SQLiteLedger) -> Router:
    fleet = Fleet(
        [Tier(name, ModelSpec(f"openai:{name}", price=Price(p, p))) for name, p in (("small", 1), ("large", 10))]
    )
    return Router(fleet, strategy=Cascade(short), ledger=ledger)


def test_a_draft_is_rejected_alike_in_each_and_all_share_the_ledger(
    provider: LoopbackProvider, router: Router, ledger: SQLiteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path))
    chat: Any = {
        name: ChatOpenAI(model=name, base_url=provider.openai_url, api_key=SecretStr("none"), max_retries=0)
        for name in ("small", "large")
    }
    assert RoutedChatModel(router, models=chat).invoke(QUESTION).text == "Paris."

    llms: Any = {
        name: LLM(model=f"openai/{name}", base_url=provider.openai_url, api_key="none", max_retries=0)
        for name in ("small", "large")
    }
    assert RoutedLLM(router, models=llms).call(QUESTION) == "Paris."

    def answering(text: str) -> FunctionModel:
        def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            return ModelResponse(parts=[TextPart(text)])

        return FunctionModel(answer)

    agent = Agent(RoutedModel(router, models={"small": answering(DRAFT), "large": answering("Paris.")}))
    assert agent.run_sync(QUESTION).output == "Paris."

    ledger.flush()
    rows = list(ledger.rows())
    assert (
        sorted((r.purpose, r.tier, r.verdict) for r in rows)
        == [("answer", "large", "accept")] * 3 + [("draft", "small", "reject")] * 3
    )
    assert (provider.count("small"), provider.count("large")) == (2, 2)
