"""Messages in the form of OpenAI's chat API, which LiteLLM translates for every provider."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tierwise.backends.history import portable
from tierwise.fleet import ModelSpec
from tierwise.messages import Message, ToolCall

from tierwise_litellm.providers import takes_cache_markers

__all__ = ["as_messages"]

_MAGIC: Mapping[str, str] = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""The first characters of an image in base64, and its type."""


def as_messages(messages: Sequence[Message], model: ModelSpec) -> list[dict[str, Any]]:
    """The messages as LiteLLM takes them, whichever provider's models wrote them."""
    said = portable(messages, provider=model.provider, cache=takes_cache_markers(model))
    return [_message(m) for m in said]


def _message(message: Message) -> dict[str, Any]:
    result: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.role == "assistant":
        result |= _assistant(message)
    if message.role == "tool":
        result["tool_call_id"] = message.tool_call_id or ""
        if message.name:
            result["name"] = message.name
    return result


def _content(message: Message) -> str | list[dict[str, Any]]:
    if not message.images and not message.cache:
        return message.content
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    parts += [{"type": "image_url", "image_url": {"url": _url(image)}} for image in message.images]
    if parts and message.cache:
        parts[-1]["cache_control"] = {"type": "ephemeral"}
    return parts


def _assistant(message: Message) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if message.tool_calls:
        result["tool_calls"] = [_tool_call(c) for c in message.tool_calls]
    if message.tool_calls and not message.content:
        result["content"] = None
    if message.signature:
        block = {"type": "thinking", "thinking": message.thinking, "signature": message.signature}
        result["thinking_blocks"] = [block]
    return result


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(dict(call.arguments))}
    return {"id": call.id, "type": "function", "function": function}


def _url(image: str) -> str:
    if image.startswith(("http://", "https://", "data:")):
        return image
    kind = next((kind for magic, kind in _MAGIC.items() if image.startswith(magic)), "image/png")
    return f"data:{kind};base64,{image}"
