from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Reply, Router, Tier
from tierwise.policies import AfterError
from tierwise.testing.provider import LoopbackProvider
from tierwise.verifiers import ValidOutput, ValidToolCalls
from tierwise_pydantic_ai import RoutedModel


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
async def models(provider: LoopbackProvider) -> AsyncIterator[dict[str, Model]]:
    async with AsyncOpenAI(base_url=provider.openai_url, api_key="key", max_retries=0) as client:
        yield {
            "small": OllamaModel("small", provider=OllamaProvider(openai_client=client)),
            "large": OpenAIChatModel("large", provider=OpenAIProvider(openai_client=client)),
        }


@pytest.fixture
def routed(models: dict[str, Model], replies: list[Reply]) -> Callable[..., RoutedModel]:
    def make(*, verifier: Any = None, gate: Any = None, policy: Any = None, **fields: Any) -> RoutedModel:
        fleet = Fleet(
            [
                Tier("small", ["ollama:small"]),
                Tier("large", [ModelSpec("openai:large", price=Price(2, 8))]),
            ]
        )
        checks = verifier if verifier is not None else ValidOutput() & ValidToolCalls() & short
        # By default the small tier tries every step, unless the step before failed.
        router = Router(fleet, policy=policy or AfterError(), strategy=Cascade(checks, gate=gate))
        return RoutedModel(router, models=models, on_reply=replies.append, **fields)

    return make
