"""What a model's id means to LiteLLM, and where its content goes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from tierwise.backends import runs_here
from tierwise.errors import UnknownNameError
from tierwise.fleet import ModelSpec
from tierwise.fleet.discovery import KEYS

__all__ = ["address_of", "check_provider", "key_of", "provider_of", "stays_here", "takes_cache_markers"]

_PROVIDERS: Mapping[str, str] = {
    "aws": "bedrock",
    "fireworks": "fireworks_ai",
    "google": "gemini",
    "google-gla": "gemini",
    "google-vertex": "vertex_ai",
    "moonshotai": "moonshot",
    # `ollama/` of LiteLLM is the completion route, which knows no tools.
    "ollama": "ollama_chat",
    "together": "together_ai",
    "x-ai": "xai",
}
"""What ids and price catalogues call a provider, and what LiteLLM calls it. All other prefixes are LiteLLM's own."""

_LOCAL_SERVERS = frozenset({"hosted_vllm", "llamafile", "lm_studio", "ollama_chat"})
"""Servers that run models themselves. What speaks OpenAI's dialect on this machine may as well be a gateway."""

_CACHE_MARKERS = frozenset({"anthropic", "bedrock"})


def provider_of(model: ModelSpec) -> str:
    """What LiteLLM calls the model's provider."""
    return _PROVIDERS.get(model.provider, model.provider)


def check_provider(library: Any, model: ModelSpec) -> None:
    """Refuses a provider that LiteLLM does not know.

    Raises:
        UnknownNameError: It does not; the message names the nearest.
    """
    known = {str(getattr(p, "value", p)) for p in library.provider_list}
    if provider_of(model) not in known and "custom_llm_provider" not in model.options:
        raise UnknownNameError("provider", model.provider, sorted(known | set(_PROVIDERS)), where=f"model {model.id!r}")


def takes_cache_markers(model: ModelSpec) -> bool:
    """True if the provider's API has markers for its prompt cache; others refuse a request that holds them."""
    return provider_of(model) in _CACHE_MARKERS


def address_of(options: Mapping[str, Any]) -> str | None:
    """The server's address, where one was given."""
    return options.get("api_base") or options.get("base_url")


def key_of(model: ModelSpec) -> str | None:
    """The key of the model's provider in the environment, where it is usually looked for."""
    names = KEYS.get(provider_of(model)) or KEYS.get(model.provider) or ()
    return next((key for name in names if (key := os.environ.get(name))), None)


def stays_here(model: ModelSpec, options: Mapping[str, Any]) -> bool:
    """True if content that is sent to the model demonstrably stays on this machine.

    Only an address that was given, and that is this machine's own, counts: what LiteLLM would take from the
    environment may change after this was asked. A gateway on this machine hands content on, so that the prefix has to
    name a server that runs models, and so does an Ollama that is asked for one of its cloud models.
    """
    address = address_of(options)
    if not isinstance(address, str) or "custom_llm_provider" in options:
        return False
    return provider_of(model) in _LOCAL_SERVERS and runs_here(address, model.name)
