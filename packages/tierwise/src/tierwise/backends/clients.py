"""What a framework's model object says of the client beneath it: by which key it calls, and how often it repeats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tierwise.backends.secrets import fingerprint

__all__ = ["credential_of", "retries_of"]

_CLIENTS = ("root_client", "client")
_KEYS = ("api_key", "openai_api_key", "anthropic_api_key", "google_api_key", "mistral_api_key", "groq_api_key")


def retries_of(target: object) -> int:
    """How often the client repeats a failed request by itself; zero if it does not say."""
    found = (getattr(holder, "max_retries", None) for holder in _holders(target))
    return next((retries for retries in found if type(retries) is int and retries > 0), 0)


def credential_of(target: object) -> str | None:
    """A fingerprint of the key that the client calls with; `None` if it does not say."""
    for holder in _holders(target):
        for name in _KEYS:
            key = getattr(holder, name, None)
            reveal = getattr(key, "get_secret_value", None)
            key = reveal() if callable(reveal) else key
            if isinstance(key, str) and key:
                return fingerprint(key)
    return None


def _holders(target: object) -> Iterator[Any]:
    """The objects that may say it: the vendor's client, where the framework's object shows it, then that object."""
    for name in _CLIENTS:
        client = getattr(target, name, None)
        if client is not None:
            yield client
    yield target
