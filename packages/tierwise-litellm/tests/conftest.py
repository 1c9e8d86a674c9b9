from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from asking import CANARY, Ask
from tierwise.testing.provider import LoopbackProvider
from tierwise_litellm import LiteLLMBackend


@pytest.fixture(autouse=True)
def no_stray_loop() -> None:
    """Without this, LiteLLM's first sync call makes an event loop for the main thread, and never closes it."""
    asyncio.set_event_loop(None)


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        yield running


@pytest.fixture
def backend(provider: LoopbackProvider) -> LiteLLMBackend:
    openai = {"api_base": provider.openai_url, "api_key": CANARY}
    return LiteLLMBackend(timeout=10, providers={"openai": openai, "ollama": {"api_base": provider.url}})


@pytest.fixture(params=["openai:small", "ollama:small"])
def model(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["call", "acall", "open", "aopen"])
def ask(request: pytest.FixtureRequest, backend: LiteLLMBackend) -> Ask:
    return Ask(backend, request.param)
