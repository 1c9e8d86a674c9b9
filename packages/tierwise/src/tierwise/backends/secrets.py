"""Credentials in other people's error messages: they are cut out before anyone writes the message down."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

__all__ = ["fingerprint", "without_secrets"]

_NAME = re.compile(r"key|token|secret|password|credential|authorization", re.IGNORECASE)
_VARIABLE = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$")
_SHAPE = re.compile(
    r"\bsk-[\w-]{6,}|(?<=[?&]key=)[^&\s'\"]+|(?<=Bearer )[^\s'\"]+|(?<=://)[^\s'\"/@]+(?=@)",
)
_SHORTEST = 8
"""Characters. Anything shorter is no credential, and would be cut out of ordinary words."""
_NONE: Mapping[str, Any] = {}


def fingerprint(credential: str) -> str:
    """Tells one credential from another, in every process, and does not tell what it is.

    A keyed BLAKE2b hash of 64 bits, which nobody can turn back into a key of the length that providers give out.
    """
    from hashlib import blake2b

    return blake2b(credential.encode("utf-8", "surrogatepass"), key=b"tierwise credential", digest_size=8).hexdigest()


def without_secrets(text: str, options: Mapping[str, Any] = _NONE) -> str:
    """The text without the credentials of the environment and of the options, and without what looks like one.

    Args:
        text: A message.
        options: A call's options; those whose names speak of keys, tokens or passwords are credentials.
    """
    for secret in sorted(_secrets(options), key=len, reverse=True):
        text = text.replace(secret, "***")
    return _SHAPE.sub("***", text)


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    named = [v for k, v in _flat(options) if _NAME.search(k)]
    named += [v for k, v in os.environ.items() if _VARIABLE.search(k)]
    for value in named:
        if isinstance(value, str):
            for part in {value, value.removeprefix("Bearer ")}:
                if len(part) >= _SHORTEST:
                    yield from {part, repr(part)[1:-1], quote(part, safe="", errors="replace")}


def _flat(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(cast("Mapping[str, Any]", value))  # headers
        else:
            yield name, value
