"""Pydantic AI's messages as Tierwise's, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic_ai.messages import (
    ERROR_OUTCOMES,
    BaseToolCallPart,
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    RetryFeedbackPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from tierwise import Attempt, Message, Outcome, Tool, ToolCall, Usage
from tierwise.attempt import Chunk

__all__ = [
    "core_parts",
    "end_of",
    "from_core",
    "outcome_of",
    "part_to_core",
    "response_to_core",
    "to_core",
    "tools_to_core",
    "with_calls",
]


def to_core(messages: Iterable[ModelMessage]) -> list[Message]:
    """What policies and verifiers read: texts, images, tool calls, and what failed."""
    known: list[Message] = []
    for message in messages:
        if isinstance(message, ModelResponse):
            known.append(response_to_core(message))
            continue
        if message.instructions:
            known.append(Message("system", message.instructions))
        known += filter(None, map(part_to_core, message.parts))
    return known


def response_to_core(response: ModelResponse) -> Message:
    """A model's answer."""
    text, thinking, calls = _said(response)
    return Message("assistant", text, tool_calls=calls, thinking=thinking, origin=response.provider_name)


def _said(response: ModelResponse) -> tuple[str, str, tuple[ToolCall, ...]]:
    """The text, the thoughts, and the calls of the user's tools, and of the output type where a tool asks for it."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for part in response.parts:
        if isinstance(part, TextPart):
            texts.append(part.content)
        elif isinstance(part, ThinkingPart):
            thoughts.append(part.content)
        elif isinstance(part, ToolCallPart):
            calls.append(ToolCall.parse(part.tool_name, part.args, id=part.tool_call_id))
    return "".join(texts), "".join(thoughts), tuple(calls)


def part_to_core(part: ModelRequestPart) -> Message | None:
    """A part of a request; `None` if it is none that policies and verifiers read."""
    if isinstance(part, UserPromptPart):
        texts, images = _content(part.content)
        return Message("user", "\n".join(texts), images=tuple(images))
    if isinstance(part, SystemPromptPart):
        return Message("system", part.content)
    if isinstance(part, ToolReturnPart):
        failed = part.outcome in ERROR_OUTCOMES
        text = part.model_response_str()
        return Message("tool", text, tool_call_id=part.tool_call_id, name=part.tool_name, failed=failed)
    if isinstance(part, RetryFeedbackPart):
        return Message("user", str(part.content), failed=True)
    if part.part_kind == "retry-prompt":  # how histories from before 2.68 hold a retry; its class is deprecated
        text = part.model_response()
        if part.tool_name is None:
            return Message("user", text, failed=True)
        return Message("tool", text, tool_call_id=part.tool_call_id, name=part.tool_name, failed=True)
    return None


def _content(content: str | Sequence[UserContent]) -> tuple[list[str], list[str]]:
    if isinstance(content, str):
        return [content], []
    images = [c.url for c in content if isinstance(c, ImageUrl)]
    images += [c.data_uri for c in content if isinstance(c, BinaryContent) and c.is_image]
    return [c if isinstance(c, str) else c.content for c in content if isinstance(c, str | TextContent)], images


def tools_to_core(parameters: ModelRequestParameters) -> list[Tool]:
    """The tools as verifiers know them; an output type that is asked for by a tool is one of them."""
    return [_tool(t) for t in (*parameters.function_tools, *parameters.output_tools)]


def _tool(tool: ToolDefinition) -> Tool:
    stakes = "high" if (tool.metadata or {}).get("stakes") == "high" else "normal"
    return Tool(tool.name, tool.description or "", tool.parameters_json_schema, stakes=stakes)


def from_core(messages: Iterable[Message]) -> list[ModelMessage]:
    """The messages of a task that is no framework's, e.g. a judge's."""
    return [_response(m) if m.role == "assistant" else ModelRequest([_request_part(m)]) for m in messages]


def _request_part(message: Message) -> ModelRequestPart:
    if message.role == "system":
        return SystemPromptPart(message.content)
    if message.role == "tool":
        return ToolReturnPart(message.name or "", message.content, tool_call_id=message.tool_call_id or "")
    images = [ImageUrl(url) for url in message.images]
    return UserPromptPart([message.content, *images] if images else message.content)


def _response(message: Message) -> ModelResponse:
    text = [TextPart(message.content)] if message.content else []
    return ModelResponse([*text, *_call_parts(message.tool_calls)])


def _call_parts(calls: Iterable[ToolCall]) -> list[ToolCallPart]:
    return [ToolCallPart(c.name, c.malformed or dict(c.arguments), tool_call_id=c.id) for c in calls]


def with_calls(response: ModelResponse, outcome: Outcome) -> ModelResponse:
    """The response with the tool calls that were read out of its text, and with what is left of the text."""
    kept = [p for p in response.parts if not isinstance(p, TextPart | BaseToolCallPart)]
    text = [TextPart(outcome.text)] if outcome.text else []
    return replace(response, parts=[*kept, *text, *_call_parts(outcome.tool_calls)])


def core_parts(chunk: Chunk) -> list[TextPart | ToolCallPart]:
    """A chunk that is no model's own: tool calls that were read out of a streamed text."""
    return [*([TextPart(chunk.text)] if chunk.text else []), *_call_parts(chunk.tool_calls)]


def outcome_of(attempt: Attempt, response: ModelResponse) -> Outcome:
    """A model's answer as an outcome."""
    text, thinking, calls = _said(response)
    return Outcome(
        attempt,
        text=text,
        thinking=thinking,
        tool_calls=calls,
        logprobs=_logprobs(response.provider_details),
        raw=response,
        **_known(response),
    )


def end_of(response: ModelResponse) -> Chunk:
    """The last chunk of a streamed answer, whose text has come before."""
    calls = _said(response)[2]
    logprobs = _logprobs(response.provider_details) or ()
    return Chunk(tool_calls=calls, logprobs=logprobs, visible=False, whole=response, **_known(response))


def _known(response: ModelResponse) -> dict[str, Any]:
    """What is known of an answer beside what it says."""
    return {
        "usage": _usage(response),
        "model": response.model_name,
        "response_id": response.provider_response_id,
        "finish_reason": response.finish_reason,
    }


def _logprobs(details: dict[str, Any] | None) -> tuple[float, ...] | None:
    """Those that OpenAI's API gives, token for token; other providers' have other forms."""
    tokens: Any = details.get("logprobs") if details else None
    return tuple(token["logprob"] for token in cast("list[Any]", tokens)) or None if isinstance(tokens, list) else None


def _usage(response: ModelResponse) -> Usage | None:
    usage = response.usage
    if not usage.has_values():
        return None
    return Usage(
        usage.input_tokens,
        usage.output_tokens,
        cached_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.output_reasoning_tokens or usage.details.get("reasoning_tokens", 0),
    )
