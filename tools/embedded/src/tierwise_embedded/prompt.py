"""Renders messages and fits them into a context, as Ollama does: silently, unless the request forbids it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tierwise_embedded.engine import Engine
from tierwise_embedded.errors import ApiError

__all__ = ["Prompt", "Fit", "prompt_from_messages", "prompt_from_text", "openai_messages"]

_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
    "context length in settings, or use a model with a longer context length"
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine is given."""

    text: str
    """The rendered text, before any token was cut."""
    tokens: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a prompt is fitted into its context."""

    num_ctx: int
    num_keep: int
    truncate: bool
    shift: bool


def prompt_from_messages(
    engine: Engine, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], fit: Fit
) -> Prompt:
    """Render a conversation, leaving out its oldest messages while it is too long.

    System messages and the last message stay.
    """
    converted = openai_messages(messages)
    last = len(converted) - 1
    for start in range(len(converted)):
        kept = [message for message in converted[:start] if message["role"] == "system"] + converted[start:]
        text = engine.render(kept, [_ordered_tool(tool) for tool in tools])
        tokens = engine.tokenize(text)
        if not fit.truncate or len(tokens) <= fit.num_ctx or start == last:
            return Prompt(text, _fit_tokens(tokens, fit))
    raise AssertionError("a conversation has at least one message")


def prompt_from_text(engine: Engine, text: str, fit: Fit, *, context: Sequence[int] = ()) -> Prompt:
    """Tokenize a rendered prompt, after the tokens of an earlier exchange."""
    return Prompt(text, _fit_tokens([*context, *engine.tokenize(text)], fit))


def openai_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return Ollama's messages in the shape that the engine's templates take."""
    return [_openai_message(message) for message in messages]


def _openai_message(message: Mapping[str, Any]) -> dict[str, Any]:
    if message.get("images"):
        raise ApiError(500, "this model is missing data required for image input")
    converted: dict[str, Any] = {"role": message.get("role") or "user", "content": message.get("content") or ""}
    if calls := message.get("tool_calls"):
        converted["tool_calls"] = [_openai_call(call, index) for index, call in enumerate(calls)]
    if identifier := message.get("tool_call_id"):
        converted["tool_call_id"] = identifier
    return converted


def _openai_call(call: Mapping[str, Any], index: int) -> dict[str, Any]:
    function: Mapping[str, Any] = call.get("function") or {}
    arguments: Any = function.get("arguments") or {}
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return {
        "id": call.get("id") or f"call_{index}",
        "type": "function",
        "function": {"name": function.get("name") or "", "arguments": text},
    }


_PARAMETER_ORDER = ("type", "$defs", "items", "required", "properties")


def _ordered_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Put a tool's keys in the order of Ollama's own types, which is the order that its models read."""
    function = _ordered(tool.get("function") or {}, ("name", "description", "parameters"))
    if isinstance(function.get("parameters"), dict):
        function["parameters"] = _ordered(function["parameters"], _PARAMETER_ORDER)
    return {"type": tool.get("type") or "function", "function": function}


def _ordered(value: Mapping[str, Any], first: Sequence[str]) -> dict[str, Any]:
    known = {key: value[key] for key in first if key in value}
    return {**known, **{key: item for key, item in value.items() if key not in known}}


def _fit_tokens(tokens: list[int], fit: Fit) -> list[int]:
    if len(tokens) < fit.num_ctx:
        return tokens
    if not fit.truncate:
        raise ApiError(400, _exceeds(len(tokens), fit.num_ctx))
    if not fit.shift:
        raise ApiError(400, _TOO_LONG)
    # The head, and half of the room that is left: the other half is for the answer.
    keep = min(fit.num_keep, fit.num_ctx // 2)
    tail = (fit.num_ctx - keep) // 2
    return tokens[:keep] + tokens[len(tokens) - tail :]


def _exceeds(count: int, num_ctx: int) -> str:
    message = f"request ({count} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"
    error = {"code": 400, "message": message, "type": "exceed_context_size_error"}
    return json.dumps({"error": {**error, "n_prompt_tokens": count, "n_ctx": num_ctx}}, separators=(",", ":"))
