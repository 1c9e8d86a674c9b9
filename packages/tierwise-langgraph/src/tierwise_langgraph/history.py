"""LangChain's messages as Tierwise's, and histories that move from one provider's model to another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage, convert_to_messages
from tierwise import Message, ToolCall
from tierwise.backends import ported

__all__ = ["from_core", "native_history", "text_of", "thoughts", "to_core", "tool_calls", "without_markers"]

_ROLES: Mapping[str, Any] = {"human": "user", "ai": "assistant", "tool": "tool", "system": "system"}
_MARKERS = ("cache_control", "cachePoint")
"""What marks a place for a provider's prompt cache, in blocks of content, in tools and in settings."""
_NESTED = ("extras", "metadata")
"""Where blocks and tools keep what is a provider's own."""
_OPAQUE = "blocks of its writer's own"
"""Stands for what only the writer's provider can read: signatures, redacted thoughts, ids of items it keeps."""


@dataclass(frozen=True, slots=True)
class NativeMessage(Message):
    """A message with the one of LangChain's that it stands for."""

    native: BaseMessage | None = field(default=None, repr=False, compare=False)


def to_core(messages: Iterable[BaseMessage]) -> list[NativeMessage]:
    """What policies and verifiers read: texts, images, tool calls, which tools failed, and who wrote what."""
    return [_message(m) for m in messages]


def _message(message: BaseMessage) -> NativeMessage:
    fields: dict[str, Any] = {"native": message}
    if not isinstance(message.content, str):
        fields |= {"images": _images(message), "cache": any(map(_is_marked, message.content))}
    if isinstance(message, AIMessage):
        fields |= {
            "tool_calls": tool_calls(message),
            "thinking": thoughts(message),
            "signature": _OPAQUE if _is_opaque(message) else None,
            "origin": _origin(message.response_metadata),
        }
    elif isinstance(message, ToolMessage):
        fields |= {
            "tool_call_id": message.tool_call_id,
            "name": message.name,
            "failed": message.status == "error",
        }
    role = _ROLES.get(message.type.removesuffix("MessageChunk").lower(), "user")
    return NativeMessage(role, text_of(message), **fields)


def text_of(message: BaseMessage) -> str:
    """The message's visible text."""
    return message.content if isinstance(message.content, str) else str(message.text)


def tool_calls(message: AIMessage) -> tuple[ToolCall, ...]:
    """The message's tool calls, with those whose arguments could not be read."""
    valid = [ToolCall(c["name"], c["args"], id=c["id"] or "") for c in message.tool_calls]
    broken = [
        ToolCall(c["name"] or "", id=c["id"] or "", malformed=c["args"] or "") for c in message.invalid_tool_calls
    ]
    return (*valid, *broken)


def thoughts(message: AIMessage) -> str:
    """What the model wrote before its answer, as far as its provider shows it."""
    beside = message.additional_kwargs.get("reasoning_content")
    if isinstance(beside, str):
        return beside
    if isinstance(message.content, str):
        return ""
    blocks = [block for block in message.content if isinstance(block, dict)]
    return "".join(str(block.get(kind) or "") for block in blocks for kind in ("thinking", "reasoning"))


def _is_opaque(message: AIMessage) -> bool:
    """True if the message holds more than text and tool calls: another provider may refuse what it does not know."""
    if any(message.additional_kwargs.values()):
        return True
    return not isinstance(message.content, str) and not all(map(_is_plain, message.content))


def _is_plain(block: str | dict[str, Any]) -> bool:
    return isinstance(block, str) or (block.get("type") == "text" and block.keys() <= {"type", "text", *_MARKERS})


def _is_marked(block: str | dict[str, Any]) -> bool:
    return not isinstance(block, str) and without_markers(block) != block


def _origin(metadata: Mapping[str, Any]) -> str | None:
    """The provider as the fleet names it, or as LangChain does where another model wrote the message."""
    stamp: Mapping[str, Any] = metadata.get("tierwise") or {}
    return stamp["model"].partition(":")[0] if "model" in stamp else metadata.get("model_provider")


def _images(message: BaseMessage) -> tuple[str, ...]:
    blocks = [cast("Mapping[str, Any]", block) for block in message.content_blocks]
    # LangChain leaves a block that it does not know as it was.
    known = [block["value"] if block["type"] == "non_standard" else block for block in blocks]
    return tuple(_image(block) for block in known if "image" in str(block.get("type")))


def _image(block: Mapping[str, Any]) -> str:
    """Where the image is, or all of it; its id where only the provider that keeps it has more."""
    if "base64" in block:
        return f"data:{block.get('mime_type', 'image/png')};base64,{block['base64']}"
    return str(block.get("url") or block.get("image_url") or block.get("file_id") or block.get("id", ""))


def native_history(messages: Sequence[Message], *, provider: str, cache: bool) -> list[BaseMessage]:
    """The messages as a model of the provider can read them; those that are fit stay the objects they were.

    Args:
        messages: Messages that `to_core` made.
        provider: The target, as in a model's id.
        cache: Whether the target reads cache markers.
    """
    history = [(cast("BaseMessage", m.native), (m,)) for m in messages if isinstance(m, NativeMessage)]
    return ported(history, provider=provider, write=_written, cache=cache)


def _written(messages: Iterable[Message]) -> list[BaseMessage]:
    return [_rewritten(m) for m in messages]


def _rewritten(message: Message) -> BaseMessage:
    """A changed message: one of a model is written anew, of the others what the change concerns."""
    native = message.native if isinstance(message, NativeMessage) else None
    if native is None or message.role not in ("user", "system", "tool"):
        [made] = from_core([message])
        return made if native is None else made.model_copy(update={"name": native.name})
    changes: dict[str, Any] = {}
    if not message.cache and not isinstance(native.content, str):
        changes["content"] = [_unmarked(block) for block in native.content if not _is_only_marker(block)]
    if message.role == "tool":
        changes |= {"tool_call_id": message.tool_call_id, "name": message.name}
    return native.model_copy(update=changes)


def _unmarked(block: str | dict[str, Any]) -> str | dict[str, Any]:
    return block if isinstance(block, str) else without_markers(block)


def _is_only_marker(block: str | dict[str, Any]) -> bool:
    return not isinstance(block, str) and block.keys() <= {"cachePoint", "type"} and "cachePoint" in block


def without_markers(value: Mapping[str, Any]) -> dict[str, Any]:
    """A block, a tool or settings without what marks a place for a provider's prompt cache."""
    return {
        key: without_markers(cast("Mapping[str, Any]", part)) if key in _NESTED and isinstance(part, Mapping) else part
        for key, part in value.items()
        if key not in _MARKERS
    }


def from_core(messages: Iterable[Message]) -> list[BaseMessage]:
    """The messages of a task that is no framework's, e.g. a judge's."""
    return convert_to_messages([_form(m) for m in messages])


def _form(message: Message) -> dict[str, Any]:
    form: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
        form["content"] = [{"type": "text", "text": message.content}, *parts]
    if message.tool_calls:
        form["tool_calls"] = [
            {"type": "tool_call", "name": c.name, "args": dict(c.arguments), "id": c.id} for c in message.tool_calls
        ]
    if message.role == "tool":
        form |= {"tool_call_id": message.tool_call_id or "", "status": "error" if message.failed else "success"}
        form |= {} if message.name is None else {"name": message.name}
    return form
