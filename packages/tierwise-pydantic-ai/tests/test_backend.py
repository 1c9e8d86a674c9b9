"""What reaches a model: its settings, and requests that are no agent's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from tierwise import Fleet, ModelSpec, Router, Single, Task, Tier, Tool
from tierwise.errors import AllModelsFailedError
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise.verifiers import Logprob
from tierwise_pydantic_ai import PydanticAIBackend, RoutedModel

Make = Callable[..., RoutedModel]


@pytest.fixture
def openai(provider: LoopbackProvider) -> OpenAIProvider:
    return OpenAIProvider(provider.openai_url, api_key="key")


def one(spec: ModelSpec, model: Model) -> RoutedModel:
    return RoutedModel(Router(Fleet([Tier("only", spec)]), strategy=Single()), models={"only": model})


async def test_the_agent_s_settings_stand_over_the_rung_s_and_these_over_the_model_s(
    provider: LoopbackProvider, openai: OpenAIProvider
) -> None:
    provider.on("m", Reply(text="Because."))
    spec = ModelSpec("openai:m", temperature=0.5, top_p=0.5, seed=5, options={"presence_penalty": 0.5})
    model = OpenAIChatModel("m", provider=openai, settings={"temperature": 0.9, "frequency_penalty": 0.9})
    await Agent(one(spec, model), model_settings={"temperature": 0.1}).run("Why?")
    sent = provider.calls[0].options
    assert (sent["temperature"], sent["top_p"], sent["seed"]) == (0.1, 0.5, 5)
    assert (sent["presence_penalty"], sent["frequency_penalty"]) == (0.5, 0.9)


async def test_the_smaller_cap_on_the_output_holds(provider: LoopbackProvider, openai: OpenAIProvider) -> None:
    provider.on("m", Reply(text="Because."))
    routed = one(ModelSpec("openai:m", max_output_tokens=50), OpenAIChatModel("m", provider=openai))
    for asked, sent in ((20, 20), (90, 50), (None, 50)):
        await Agent(routed, model_settings={"max_tokens": asked} if asked else None).run("Why?")
        assert provider.calls[-1].options["max_completion_tokens"] == sent


async def test_a_cap_on_the_output_reaches_ollama_by_the_name_that_it_reads(provider: LoopbackProvider) -> None:
    provider.on("m", Reply(text="Because."))
    model = OllamaModel("m", provider=OllamaProvider(base_url=f"{provider.url}/v1"))
    routed = one(ModelSpec("ollama:m", max_output_tokens=50), model)
    asked = (ModelSettings(), ModelSettings(max_tokens=20), ModelSettings(extra_body={"top_k": 1}))
    for settings, sent in zip(asked, (50, 20, 50), strict=True):
        await Agent(routed, model_settings=settings).run("Why?")
        assert provider.calls[-1].body["max_tokens"] == sent
    assert provider.calls[-1].body["top_k"] == 1


async def test_rungs_may_differ_in_effort_alone(provider: LoopbackProvider, openai: OpenAIProvider) -> None:
    provider.on("gpt-5.2", Reply(text="Because."))
    model = OpenAIChatModel("gpt-5.2", provider=openai)
    for effort, sent in (("high", "high"), ("none", "none")):
        await Agent(one(ModelSpec("openai:gpt-5.2", reasoning_effort=effort), model)).run("Why?")
        assert provider.calls[-1].options["reasoning_effort"] == sent


@pytest.mark.parametrize(
    "settings", [None, {"max_retries": 1}], ids=["the router falls back", "the user wants a retry"]
)
@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_client_retries_only_if_it_was_told_to(
    provider: LoopbackProvider, openai: OpenAIProvider, settings: Any, wrapped: bool
) -> None:
    provider.on("m", Reply(status=500, retry_after_ms=1))
    model: Model = OpenAIChatModel("m", provider=openai, settings=settings)
    with pytest.raises(AllModelsFailedError):
        await Agent(one(ModelSpec("openai:m"), WrapperModel(model) if wrapped else model)).run("Why?")
    assert provider.count() == (2 if settings else 1)


async def test_log_probabilities_are_asked_for_where_a_verifier_reads_them(
    provider: LoopbackProvider, routed: Make
) -> None:
    provider.on("small", Reply(text="Because.", logprobs=[-0.01]))
    provider.on("large", Reply(text="Because."))
    agent = Agent(routed(verifier=Logprob(threshold=-0.5)))
    assert (await agent.run("Why?")).response.model_name == "small"
    assert provider.calls[0].options["logprobs"] is True
    provider.on("small", Reply(text="Because.", logprobs=[-3.0]))
    assert (await agent.run("Why?")).response.model_name == "large"


async def test_a_judge_may_be_a_fallback_model(
    provider: LoopbackProvider, routed: Make, models: dict[str, Model]
) -> None:
    provider.on("small", Reply(text="Because."))
    provider.on("large", Reply(json={"reason": "It is so.", "score": 9}))
    router = Router.simple(small="ollama:small", large="openai:large")
    given: dict[str, Model | str] = {"small": models["small"], "large": FallbackModel(models["large"])}
    assert (await Agent(RoutedModel(router, models=given)).run("Why?")).response.model_name == "small"
    assert [c.model for c in provider.calls] == ["small", "large"]


def test_a_router_may_use_the_models_without_an_agent_and_without_a_loop(
    provider: LoopbackProvider, openai: OpenAIProvider
) -> None:
    backend = PydanticAIBackend({"openai:m": OpenAIChatModel("m", provider=openai)})
    router = Router(Fleet([Tier("only", "openai:m")]), strategy=Single(), backends={"*": backend})
    look = Tool("look", "Looks.", {"type": "object", "properties": {"n": {"type": "integer"}}})
    provider.on("m", Reply(tool_calls=[Call("look", {"n": 1})]), Reply(json={"n": 3}))
    assert [c.name for c in router.run("Look.", tools=[look]).tool_calls] == ["look"]
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert router.run(Task("How many?", output_schema=schema)).output == {"n": 3}


def test_verdicts_of_judges_are_read(provider: LoopbackProvider, openai: OpenAIProvider) -> None:
    backend = PydanticAIBackend({k: OpenAIChatModel(k[7:], provider=openai) for k in ("openai:s", "openai:l")})
    router = Router.simple(small="openai:s", large="openai:l", backends={"*": backend})
    provider.on("s", Reply(text="Because."))
    provider.on("l", Reply(json={"reason": "wrong", "score": 1}), Reply(text="Since it is so."))
    assert router.run("Why?").text == "Since it is so."
