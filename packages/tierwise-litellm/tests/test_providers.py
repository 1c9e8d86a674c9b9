from __future__ import annotations

import pytest
from tierwise import Fleet, ModelSpec, Router, Tier
from tierwise.errors import TrustError
from tierwise_litellm import LiteLLMBackend

HERE = {"api_base": "http://127.0.0.1:8000/v1"}


@pytest.mark.parametrize(
    ("model", "options", "trust"),
    [
        ("hosted_vllm:small", HERE, "local"),
        ("ollama:small", {"api_base": "http://localhost:11434"}, "local"),
        ("ollama_chat:small", {"base_url": "http://[::1]:11434"}, "local"),
        ("lm_studio:small", HERE, "local"),
        ("openai:small", HERE, None),  # a gateway speaks this dialect too
        ("openai:gpt-5.2", {}, None),
        ("ollama:small", {}, None),
        ("hosted_vllm:small", {"api_base": "http://127.0.0.1.example.com/v1"}, None),
        ("hosted_vllm:small", {"api_base": "http://localhost@example.com/v1"}, None),
        ("hosted_vllm:small", {"api_base": "http://192.168.0.7:8000"}, None),
        ("hosted_vllm:small", {"api_base": "not a url ["}, None),
        ("ollama:gpt-oss:120b-cloud", HERE, None),
        ("litellm_proxy:small", HERE, None),
        ("anthropic:claude-opus-4-7", HERE, None),
        ("hosted_vllm:small", {**HERE, "custom_llm_provider": "anthropic"}, None),
    ],
)
def test_only_a_model_server_on_this_machine_is_local(model: str, options: dict[str, str], trust: str | None) -> None:
    assert LiteLLMBackend().trust(ModelSpec(model, options=options)) == trust
    provider = model.partition(":")[0]
    assert LiteLLMBackend(providers={provider: options}).trust(ModelSpec(model)) == trust


def test_a_local_task_never_leaves() -> None:
    router = Router(Fleet([Tier("only", "openai:gpt-5.2")]), backends={"*": LiteLLMBackend()})
    with pytest.raises(TrustError):
        router.run("Keep this here.", trust="local")


def test_prices_are_the_catalogues() -> None:
    assert LiteLLMBackend().price(ModelSpec("openai:gpt-5.2")) is None
