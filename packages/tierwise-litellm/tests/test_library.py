"""LiteLLM's import, its own retries, its clients."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asking import CANARY, Ask, attempt
from tierwise.errors import ConfigError, ServerBusyError
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_litellm import LiteLLMBackend
from tierwise_litellm.library import load

WITHOUT_NETWORK = """
import json, socket, sys
import tierwise, tierwise_litellm
light = not {"litellm", "openai", "httpx", "pydantic", "asyncio"} & set(sys.modules)
tried = []
def refuse(self, address, *rest):
    tried.append(str(address))
    raise OSError("no network in this test")
socket.socket.connect = socket.socket.connect_ex = refuse
def unresolved(host, *rest, **more):
    tried.append(str(host))
    raise OSError("no network in this test")
socket.getaddrinfo = unresolved
from tierwise_litellm.library import load
load()
print(json.dumps({"light": light, "loaded": "litellm" in sys.modules, "tried": tried}))
"""


def test_importing_the_package_is_light_and_importing_litellm_needs_no_network() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_NETWORK], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {"light": True, "loaded": True, "tried": []}
    assert run.stderr == ""


@pytest.fixture(params=["num_retries", "model_fallbacks"])
def process_wide(request: pytest.FixtureRequest) -> Iterator[str]:
    library: Any = load()
    before = getattr(library, request.param)
    setattr(library, request.param, [1] if request.param == "model_fallbacks" else 3)
    yield request.param
    setattr(library, request.param, before)


async def test_settings_of_the_process_that_would_make_hidden_calls_are_refused(
    provider: LoopbackProvider, ask: Ask, process_wide: str
) -> None:
    with pytest.raises(ConfigError, match=f"litellm.{process_wide}"):
        await ask("openai:small")
    assert provider.count() == 0


async def test_nothing_is_printed(provider: LoopbackProvider, ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    provider.on("small", Reply(status=503))
    with pytest.raises(ServerBusyError):
        await ask("openai:small")
    assert capfd.readouterr() == ("", "")


def test_each_event_loop_takes_its_connections_with_it(
    provider: LoopbackProvider, backend: LiteLLMBackend, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider.on("small", Reply(text="hi"))

    async def both() -> tuple[str, str]:
        held = await backend.acall(attempt(model))
        async with backend.aopen(attempt(model)) as chunks:
            return held.text, "".join([c.text async for c in chunks])

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert asyncio.run(both()) == ("hi", "hi")
            gc.collect()
    assert caplog.messages == []


def test_threads_can_call_side_by_side(provider: LoopbackProvider, backend: LiteLLMBackend) -> None:
    def text(prompt: str) -> str:
        return backend.call(attempt("openai:small", prompt)).text

    provider.on("small", Reply(text="hi"))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(text, "abcdefgh")) == ["hi"] * 8


async def test_calls_can_run_side_by_side(provider: LoopbackProvider, backend: LiteLLMBackend) -> None:
    provider.on("small", Reply(text="hi", first_token_delay=0.05))
    outcomes = await asyncio.gather(*(backend.acall(attempt("openai:small")) for _ in range(8)))
    assert [o.text for o in outcomes] == ["hi"] * 8
    assert CANARY not in repr(outcomes)
