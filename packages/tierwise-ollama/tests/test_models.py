"""The backend on real small models, through the embedded server."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from tierwise.attempt import Attempt
from tierwise.backends.repair import repaired
from tierwise.errors import ContextOverflowError, InvalidRequestError
from tierwise.fleet.model import ModelSpec
from tierwise.messages import Message, Tool, ToolCall
from tierwise.task import Task
from tierwise_embedded import spawn
from tierwise_ollama import OllamaBackend

pytestmark = pytest.mark.models

TINY = ModelSpec("ollama:smollm2:135m", temperature=0, seed=1, max_output_tokens=12)
SMALL = ModelSpec("ollama:qwen2.5-coder:0.5b", temperature=0, seed=1, max_output_tokens=60)
WEATHER = Tool(
    "get_weather",
    "Get the current weather for a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with spawn(["smollm2:135m", "qwen2.5-coder:0.5b"]) as server:
        yield server.url


@pytest.fixture
def backend(url: str) -> OllamaBackend:
    return OllamaBackend(url)


def test_chat(backend: OllamaBackend) -> None:
    outcome = backend.call(Attempt(Task("Say hi."), TINY))
    assert outcome.text.strip()
    assert outcome.usage is not None
    assert outcome.usage.output_tokens == 12
    assert outcome.finish_reason == "length"


async def test_a_stream_adds_up_to_the_answer(backend: OllamaBackend) -> None:
    attempt = Attempt(Task("Say hi."), TINY)
    async with backend.aopen(attempt) as chunks:
        pieces = [c.text async for c in chunks]
    assert len(pieces) > 2
    assert "".join(pieces) == (await backend.acall(attempt)).text


def test_log_probabilities(backend: OllamaBackend) -> None:
    outcome = backend.call(Attempt(Task("Say hi."), TINY, logprobs=True))
    assert outcome.logprobs is not None
    assert len(outcome.logprobs) == 12
    assert all(p <= 0 and math.isfinite(p) for p in outcome.logprobs)


def test_a_schema_constrains_the_answer(backend: OllamaBackend) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    }
    outcome = backend.call(Attempt(Task("Ann is 31. Extract name and age.", output_schema=schema), SMALL))
    assert json.loads(outcome.text) == {"name": "Ann", "age": 31}


def test_a_tool_call_that_the_model_writes_as_text_is_repaired(backend: OllamaBackend) -> None:
    outcome = repaired(backend.call(Attempt(Task("What's the weather in Oslo?", tools=[WEATHER]), SMALL)))
    (call,) = outcome.tool_calls
    assert (call.name, call.arguments) == ("get_weather", {"city": "Oslo"})


def test_a_tools_result_reaches_the_model(backend: OllamaBackend) -> None:
    def prompt_tokens(result: str) -> int:
        call = ToolCall("get_weather", {"city": "Oslo"}, id="c1")
        history = [
            Message("user", "What's the weather in Oslo?"),
            Message("assistant", tool_calls=(call,)),
            Message("tool", result, tool_call_id="c1"),
        ]
        outcome = backend.call(Attempt(Task(history, tools=[WEATHER], max_output_tokens=1), SMALL))
        assert outcome.usage is not None
        return outcome.usage.input_tokens or 0

    assert prompt_tokens("rain, " * 40) - prompt_tokens("rain, ") >= 39


def test_a_model_without_tools_is_given_none(backend: OllamaBackend) -> None:
    with pytest.raises(InvalidRequestError, match="has no tools"):
        backend.call(Attempt(Task("What's the weather in Oslo?", tools=[WEATHER]), TINY))


def test_embeddings_of_like_texts_are_near(backend: OllamaBackend) -> None:
    same, again, other = backend.embed(["a red car", "a red car", "the tax office"], "ollama:smollm2:135m")
    near, far = (sum(x * y for x, y in zip(same, v, strict=True)) for v in (again, other))
    assert math.isclose(near, 1, abs_tol=1e-3)
    assert far < near


def test_a_prompt_that_does_not_fit_is_refused_and_never_cut(backend: OllamaBackend) -> None:
    prompt = " ".join(f"The quick brown fox number {i} jumps over the lazy dog." for i in range(80))
    fixed = ModelSpec(TINY.id, num_ctx=256, max_output_tokens=4)
    with pytest.raises(ContextOverflowError, match=r"1\d\d\d tokens .*num_ctx=256.*trained for 8192"):
        backend.call(Attempt(Task(prompt), fixed))
    outcome = backend.call(Attempt(Task(prompt), TINY))
    assert outcome.usage is not None
    assert (outcome.usage.input_tokens or 0) > 1_000


def test_what_the_server_says_of_its_models(backend: OllamaBackend) -> None:
    models = {m.id: m for m in backend.models()}
    assert models[TINY.id].window == 8192
    assert models[TINY.id].can("tools") is False
    assert models[SMALL.id].can("tools")
