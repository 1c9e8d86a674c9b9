"""The suite that every backend passes, in the dialect that LiteLLM alters least: the README names the rest."""

from __future__ import annotations

from asking import CANARY
from tierwise import ModelSpec
from tierwise.testing.conformance import BackendConformance
from tierwise.testing.provider import LoopbackProvider
from tierwise_litellm import LiteLLMBackend


class TestOpenAIDialect(BackendConformance):
    secret = CANARY
    trusted_locally = False  # a gateway speaks this dialect too

    def backend(self, provider: LoopbackProvider, model: str) -> tuple[LiteLLMBackend, ModelSpec]:
        options = {"api_base": provider.openai_url, "api_key": CANARY}
        return LiteLLMBackend(timeout=10, providers={"openai": options}), ModelSpec(f"openai:{model}")
