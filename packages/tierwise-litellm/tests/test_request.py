"""What reaches the provider."""

from __future__ import annotations

import math
from typing import Any

import pytest
from asking import CANARY, Ask, attempt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tierwise import ModelSpec, Tool
from tierwise.errors import ConfigError, InvalidRequestError, UnknownNameError
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_litellm import LiteLLMBackend
from tierwise_litellm.library import load
from tierwise_litellm.request import arguments, client_timeout

WEATHER = Tool("weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


class City(BaseModel):
    name: str
    people: int


async def test_the_settings_of_a_rung(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="hi"))
    spec = ModelSpec(
        "openai:small", temperature=0.2, top_p=0.9, seed=7, reasoning_effort="low", max_output_tokens=99, num_ctx=512
    )
    await ask(spec, max_output_tokens=50)
    body = provider.calls[0].body
    sent = {"temperature": 0.2, "top_p": 0.9, "seed": 7, "reasoning_effort": "low", "max_tokens": 50}
    assert sent.items() <= body.items()
    assert not {"num_ctx", "tools", "response_format", "logprobs", "num_retries", "drop_params"} & set(body)


async def test_an_attempts_own_settings_replace_the_models(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="hi"))
    await ask(ModelSpec("openai:small", temperature=0.0, seed=1), temperature=0.8, seed=2)
    assert {"temperature": 0.8, "seed": 2}.items() <= provider.calls[0].body.items()


async def test_the_context_size_of_a_local_model(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="hi"))
    await ask(ModelSpec("ollama:small", num_ctx=2048, max_output_tokens=9))
    assert {"num_ctx": 2048, "num_predict": 9}.items() <= provider.calls[0].options.items()


async def test_tools_are_sent_as_they_are(provider: LoopbackProvider, ask: Ask, model: str) -> None:
    provider.on("small", Reply(text="hi"))
    await ask(model, tools=[WEATHER])
    assert provider.calls[0].tools == [WEATHER.as_dict()]


async def test_an_output_schema_constrains_the_answer(provider: LoopbackProvider, ask: Ask, model: str) -> None:
    provider.on("small", Reply(json={"name": "Oslo", "people": 1}))
    outcome = await ask(model, output_schema=City)
    assert City.model_validate_json(outcome.text) == City(name="Oslo", people=1)
    schema = provider.calls[0].schema
    assert schema is not None
    assert set(schema["required"]) == {"name", "people"}


async def test_a_schema_that_no_provider_takes_is_put_into_words(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(json=[1, 2]))
    await ask("openai:small", output_schema=list[int])
    call = provider.calls[0]
    assert call.schema is None
    assert call.messages[0]["role"] == "system"
    assert '"type": "array"' in call.messages[0]["content"]


async def test_options_of_a_model_replace_those_of_its_provider_and_all(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="hi"))
    backend = LiteLLMBackend(
        providers={"openai": {"api_base": provider.openai_url, "api_key": CANARY, "user": "provider"}},
        user="all",
        presence_penalty=0.5,
    )
    again = Ask(backend, ask.way)
    await again("openai:small")
    await again(ModelSpec("openai:small", options={"user": "model"}))
    assert [c.body["user"] for c in provider.calls] == ["provider", "model"]
    assert [c.body["presence_penalty"] for c in provider.calls] == [0.5, 0.5]


@pytest.mark.parametrize("name", ["num_retries", "max_retries", "fallbacks", "model", "stream", "tools"])
def test_an_option_that_is_the_routers_to_decide_is_refused(name: str) -> None:
    options: dict[str, Any] = {name: 1}
    with pytest.raises(ConfigError, match=name):
        LiteLLMBackend(**options)
    with pytest.raises(ConfigError, match="openai"):
        LiteLLMBackend(providers={"openai": options})
    with pytest.raises(ConfigError, match="openai:small"):
        LiteLLMBackend().call(attempt(ModelSpec("openai:small", options=options)))


def test_a_timeout_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="timeout"):
        LiteLLMBackend(timeout=0)


async def test_an_unknown_provider_is_named_with_the_nearest(ask: Ask) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'anthropic'"):
        await ask("antropic:claude-opus-4-7")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("anthropic:claude-opus-4-7", "anthropic/claude-opus-4-7"),
        ("openai:gpt-5.2", "openai/gpt-5.2"),
        ("gemini:gemini-3-pro", "gemini/gemini-3-pro"),
        ("google:gemini-3-pro", "gemini/gemini-3-pro"),
        ("x-ai:grok-4", "xai/grok-4"),
        ("ollama:qwen3:4b", "ollama_chat/qwen3:4b"),
        ("openrouter:meta/llama-4", "openrouter/meta/llama-4"),
    ],
)
def test_the_name_by_which_litellm_knows_a_model(model: str, expected: str) -> None:
    request = arguments(load(), attempt(model), {}, stream=False)
    assert request["model"] == expected


def test_tools_are_never_dropped() -> None:
    without_tools = ModelSpec("perplexity:sonar")
    with pytest.raises(InvalidRequestError, match="takes no tools"):
        arguments(load(), attempt(without_tools, tools=[WEATHER]), {}, stream=False)


@given(st.floats(0.001, 1e5))
def test_a_timeout_is_rounded_up_a_little(seconds: float) -> None:
    rounded = client_timeout(seconds)
    assert seconds * 0.999999 <= rounded <= seconds * 1.100001


def test_the_timeouts_of_a_passing_deadline_are_few() -> None:
    assert len({client_timeout(30 - left / 100) for left in range(2900)}) <= math.ceil(math.log(30, 1.1)) + 1
