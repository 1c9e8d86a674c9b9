from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from tierwise import Always, Cascade, Fleet, ModelSpec, Outcome, Price, Reply, Router, Tier
from tierwise.testing.provider import LoopbackProvider
from tierwise.verifiers import ValidOutput, ValidToolCalls
from tierwise_langgraph import RoutedChatModel

SMALL = Always("small")


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        yield running
        running.wait_idle()


def short(outcome: Outcome) -> bool:
    """A draft that is long is rejected: the tests' way to send an answer up a tier."""
    return len(outcome.text) < 40


@pytest.fixture
def replies() -> list[Reply]:
    return []


@pytest.fixture
def models(provider: LoopbackProvider) -> dict[str, BaseChatModel]:
    large = ChatOpenAI(
        model="large",
        base_url=provider.openai_url,
        api_key=SecretStr("key"),
        max_retries=0,
        stream_usage=True,  # not asked for by default where there is a base URL
        # With such a timeout the client is not shared with earlier tests, whose event loops are closed.
        timeout=httpx2.Timeout(60),
    )
    return {"small": ChatOllama(model="small", base_url=provider.url), "large": large}


@pytest.fixture
def routed(models: dict[str, BaseChatModel], replies: list[Reply]) -> Callable[..., RoutedChatModel]:
    def make(*, verifier: Any = None, gate: Any = None, policy: Any = SMALL, **fields: Any) -> RoutedChatModel:
        fleet = Fleet(
            [
                Tier("small", ["ollama:small"]),
                Tier("large", [ModelSpec("openai:large", price=Price(2, 8))]),
            ]
        )
        checks = verifier if verifier is not None else ValidOutput() & ValidToolCalls() & short
        router = Router(fleet, policy=policy, strategy=Cascade(checks, gate=gate))
        return RoutedChatModel(router, models=models, on_reply=replies.append, **fields)

    return make
