"""How large a context a call needs. The server's own default differs by version and memory, and cuts without a word."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, cast

from tierwise.task import CHARS_PER_TOKEN

__all__ = ["SMALLEST", "WindowSizes", "estimated_tokens", "most_tokens"]

SMALLEST = 4096
"""The smallest context that is chosen, in tokens: most calls then share it, and the model stays loaded as it is."""
_ANSWER = 2048
"""Tokens that are kept free for an answer without a cap of its own."""
_BYTES_PER_TOKEN = 3
_PER_MESSAGE = 8
"""Tokens that a chat template puts around a message."""
_PER_IMAGE = 1024


def estimated_tokens(body: Mapping[str, Any]) -> int:
    """About how many tokens a request's prompt has (characters / 4)."""
    return len(_text(body)) // CHARS_PER_TOKEN + 1


def most_tokens(body: Mapping[str, Any]) -> int:
    """About how many it has at most: dense text (code, scripts other than Latin) takes more tokens."""
    messages = cast("list[dict[str, Any]]", body.get("messages") or [])
    images = sum(len(m.get("images") or ()) for m in messages)
    size = len(_text(body).encode("utf-8", errors="replace"))
    return size // _BYTES_PER_TOKEN + 1 + _PER_MESSAGE * len(messages) + _PER_IMAGE * images


class WindowSizes:
    """Chooses a context for each model: a power of two that never shrinks, as any change loads the model anew.

    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sizes: dict[str, int] = {}

    def fit(self, model: str, prompt: int, answer: int | None, window: int | None) -> int:
        """The smallest power of two that holds prompt and answer, within what the model was trained for.

        Args:
            model: The model's name.
            prompt: Tokens of the prompt, at most.
            answer: Tokens of the answer, at most; a usual length if not given.
            window: The context that the model was trained for; no bound if that is not known.
        """
        needed = prompt + (_ANSWER if answer is None else answer)
        size = max(SMALLEST, 1 << (needed - 1).bit_length())
        with self._lock:
            size = max(size, self._sizes.get(model, 0))
            if window is not None:
                size = min(size, window)
            self._sizes[model] = size
        return size


def _text(body: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for message in cast("list[dict[str, Any]]", body.get("messages") or []):
        parts += [message["content"], message.get("thinking", "")]
        if "tool_calls" in message:
            parts.append(json.dumps(message["tool_calls"], ensure_ascii=False))
    if "tools" in body:
        parts.append(json.dumps(body["tools"], ensure_ascii=False))
    return "".join(parts)
