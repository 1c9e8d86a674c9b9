"""Messages in Ollama's form."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from tierwise.backends.history import portable
from tierwise.errors import InvalidRequestError
from tierwise.messages import Message, ToolCall

__all__ = ["PROVIDER", "as_ollama"]

PROVIDER = "ollama"


def as_ollama(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The conversation as `/api/chat` takes it.

    Raises:
        InvalidRequestError: An image is a link: the server fetches none.
    """
    return [_message(m) for m in portable(tuple(messages), provider=PROVIDER)]


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.thinking:
        said["thinking"] = message.thinking
    if message.images:
        said["images"] = [_image(image) for image in message.images]
    if message.tool_calls:
        said["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.role == "tool":
        if message.name:
            said["tool_name"] = message.name
        if message.tool_call_id:
            said["tool_call_id"] = message.tool_call_id
    return said


def _tool_call(call: ToolCall) -> dict[str, Any]:
    called: dict[str, Any] = {"function": {"name": call.name, "arguments": dict(call.arguments)}}
    return {"id": call.id, **called} if call.id else called


def _image(image: str) -> str:
    """The image's base64, without the head of a `data:` URL."""
    if image.startswith(("http://", "https://")):
        raise InvalidRequestError(
            f"Ollama takes no links to images ({image[:80]!r}): give the image as base64 or as a data: URL"
        )
    encoded = image.partition(",")[2] if image.startswith("data:") else image
    try:
        base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"an image is no base64: {error}") from error
    return encoded
