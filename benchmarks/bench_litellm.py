"""LiteLLM's Router beside `litellm.completion`, both answered by LiteLLM's mock. Runs in an environment of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from tasks import request

MESSAGES = [{"role": "user", "content": request(150)}]
MOCK = {"messages": MESSAGES, "mock_response": "The first."}
ROUTER = litellm.Router(
    model_list=[{"model_name": "small", "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "none"}}],
    num_retries=0,
)


def measure(benchmark: Any, function: Callable[[], Any]) -> None:
    benchmark.pedantic(function, rounds=200, warmup_rounds=20)


def test_direct_sync(benchmark: Any) -> None:
    measure(benchmark, lambda: litellm.completion(model="openai/gpt-4o-mini", **MOCK))


def test_routed_sync(benchmark: Any) -> None:
    measure(benchmark, lambda: ROUTER.completion(model="small", **MOCK))


def test_direct_async(benchmark: Any) -> None:
    loop = asyncio.new_event_loop()
    measure(benchmark, lambda: loop.run_until_complete(litellm.acompletion(model="openai/gpt-4o-mini", **MOCK)))


def test_routed_async(benchmark: Any) -> None:
    loop = asyncio.new_event_loop()
    measure(benchmark, lambda: loop.run_until_complete(ROUTER.acompletion(model="small", **MOCK)))


def test_routed_stream(benchmark: Any) -> None:
    measure(benchmark, lambda: list(ROUTER.completion(model="small", stream=True, **MOCK)))


def test_direct_stream(benchmark: Any) -> None:
    measure(benchmark, lambda: list(litellm.completion(model="openai/gpt-4o-mini", stream=True, **MOCK)))
