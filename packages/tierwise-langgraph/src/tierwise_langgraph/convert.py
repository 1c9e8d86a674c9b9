"""LangChain's answers and tools as Tierwise's, and chunks of them back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call as create_tool_call
from langchain_core.messages.tool import tool_call_chunk as create_tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.utils import LC_ID_PREFIX
from tierwise import Outcome, Tool, Usage
from tierwise.attempt import Chunk

from tierwise_langgraph.history import text_of, thoughts, tool_calls

__all__ = ["native_chunk", "said_of", "tools_to_core", "whole_message", "with_calls"]


def tools_to_core(tools: Iterable[Any]) -> list[Tool]:
    """The tools as verifiers know them. A provider's own built-in tools, which no schema describes, are left out."""
    forms = [convert_to_openai_tool(tool) for tool in tools]
    return [Tool.of(form) for form in forms if "function" in form]


def said_of(message: AIMessage) -> dict[str, Any]:
    """What a model's answer says, by the names of an outcome's fields."""
    metadata: Mapping[str, Any] = message.response_metadata
    return {
        "text": text_of(message),
        "thinking": thoughts(message),
        "tool_calls": tool_calls(message),
        "logprobs": _logprobs(metadata.get("logprobs")),
        "usage": _usage(message),
        "model": metadata.get("model_name") or metadata.get("model"),
        "response_id": _response_id(message),
        "finish_reason": metadata.get("finish_reason") or metadata.get("done_reason") or metadata.get("stop_reason"),
    }


def _response_id(message: AIMessage) -> str | None:
    """The provider's: on pieces that have none, LangChain writes one of its own when it shows them."""
    known: str | None = message.response_metadata.get("id") or message.id
    return None if known is None or known.startswith(LC_ID_PREFIX) else known


def _logprobs(given: Any) -> tuple[float, ...] | None:
    """OpenAI's form, an object with a list in it, or Ollama's, the list."""
    tokens: Any = cast("dict[str, Any]", given).get("content") if isinstance(given, dict) else given
    return tuple(float(token["logprob"]) for token in tokens) if tokens else None


def _usage(message: AIMessage) -> Usage | None:
    usage = message.usage_metadata
    if usage is None:
        return None
    read, written = usage.get("input_token_details", {}), usage.get("output_token_details", {})
    return Usage(
        usage["input_tokens"],
        usage["output_tokens"],
        cached_tokens=read.get("cache_read", 0),
        cache_write_tokens=read.get("cache_creation", 0),
        reasoning_tokens=written.get("reasoning", 0),
    )


def with_calls(message: AIMessage, outcome: Outcome) -> AIMessage:
    """The message with the tool calls that were read out of its text, and with what is left of the text."""
    calls = [create_tool_call(name=c.name, args=dict(c.arguments), id=c.id) for c in outcome.tool_calls]
    changes = {"content": outcome.text, "tool_calls": calls, "invalid_tool_calls": []}
    return whole_message(message).model_copy(update=changes)


def whole_message(message: AIMessage) -> AIMessage:
    """Merged chunks as the message that a call without streaming gives; such a message as it is."""
    if not isinstance(message, AIMessageChunk):
        return message
    return AIMessage(**message.model_dump(exclude={"type", "tool_call_chunks", "chunk_position"}))


def native_chunk(chunk: Chunk) -> ChatGenerationChunk | None:
    """A streamed piece as it came, or a held answer as one piece; `None` for what LangChain has seen already."""
    raw = chunk.raw
    if isinstance(raw, ChatGenerationChunk):
        return raw
    if isinstance(raw, AIMessageChunk):
        return ChatGenerationChunk(message=raw)
    if isinstance(raw, AIMessage):
        return ChatGenerationChunk(message=AIMessageChunk(**raw.model_dump(exclude={"type", "invalid_tool_calls"})))
    if not chunk.is_visible:
        return None
    # Tool calls that the model wrote as text while it streamed.
    calls = [
        create_tool_call_chunk(name=c.name, args=json.dumps(dict(c.arguments)), id=c.id, index=i)
        for i, c in enumerate(chunk.tool_calls)
    ]
    return ChatGenerationChunk(message=AIMessageChunk(content=chunk.text, tool_call_chunks=calls))
