"""cascadeflow's agent beside its own provider, which answers at once. Runs in an environment of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cascadeflow import CascadeAgent, ModelConfig
from cascadeflow.providers import PROVIDER_REGISTRY
from cascadeflow.providers.base import BaseProvider, ModelResponse
from cascadeflow.quality.complexity import ComplexityDetector
from tasks import LENGTHS, request

SHORT = request(150)
ANSWER = "The first plan is cheaper for a team of five, because its price does not depend on the number of people."


class Instant(BaseProvider):
    """Answers at once, so that what is measured is the routing alone."""

    def _load_api_key(self) -> str:
        return "none"

    async def _complete_impl(self, prompt: str, model: str, **options: Any) -> ModelResponse:
        return ModelResponse(ANSWER, model, "openai", cost=0.0, tokens_used=30, confidence=0.95)

    async def _stream_impl(self, prompt: str, model: str, **options: Any) -> AsyncIterator[str]:
        yield ANSWER

    def estimate_cost(self, tokens: int, model: str) -> float:
        return 0.0


PROVIDER_REGISTRY["openai"] = Instant
MODELS = [ModelConfig(name="small", provider="openai", cost=0.1), ModelConfig(name="large", provider="openai", cost=10)]


def measure(benchmark: Any, function: Callable[[], Any], rounds: int = 200) -> None:
    benchmark.pedantic(function, rounds=rounds, warmup_rounds=10)


@pytest.mark.parametrize("length", LENGTHS)
def test_decide(benchmark: Any, length: int) -> None:
    detector, text = ComplexityDetector(), request(length)
    measure(benchmark, lambda: detector.detect(text), rounds=20)


def test_direct_async(benchmark: Any) -> None:
    loop, provider = asyncio.new_event_loop(), Instant()
    measure(benchmark, lambda: loop.run_until_complete(provider.complete(SHORT, model="small")))


def test_routed_async(benchmark: Any) -> None:
    loop, agent = asyncio.new_event_loop(), CascadeAgent(models=MODELS)
    measure(benchmark, lambda: loop.run_until_complete(agent.run(SHORT)))
