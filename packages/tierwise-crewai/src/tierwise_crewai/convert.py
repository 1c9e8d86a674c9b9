"""CrewAI's messages and answers as Tierwise's, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import BaseModel
from tierwise import Attempt, Message, Outcome, Tool, ToolCall, Usage
from tierwise.values import evolve

__all__ = ["counters", "cut_off", "from_core", "outcome_of", "to_core", "tools_to_core", "written_calls"]

_GEMINI = "raw_tool_call_parts"
"""Where CrewAI keeps the parts that Gemini wrote, its signatures with them: no other provider can read those."""

_TOOL_ERROR = "Error executing tool"
"""How the result of a tool begins that raised: CrewAI has no other mark."""


def to_core(messages: Iterable[Mapping[str, Any]]) -> list[Message]:
    """What policies and verifiers read: texts, tool calls, images, and which tools failed."""
    return [_message(m) for m in messages]


def _message(message: Mapping[str, Any]) -> Message:
    content = message.get("content")
    known = Message.of(
        {**message, "content": _known(cast("list[Any]", content))} if isinstance(content, list) else message
    )
    if message.get(_GEMINI):
        return evolve(known, origin="gemini", signature=_GEMINI)
    if known.role == "tool" and known.content.startswith(_TOOL_ERROR):
        return evolve(known, failed=True)
    return known


def _known(content: Any) -> Any:
    """The content's parts that Tierwise reads; a file of another kind says nothing to a policy."""
    if not isinstance(content, list):
        return content
    parts = cast("list[Any]", content)
    return [p for p in parts if isinstance(p, str) or p.get("type") in ("text", "image_url")]


def tools_to_core(tools: Iterable[Mapping[str, Any]] | None) -> list[Tool]:
    """The tools as verifiers know them."""
    return [Tool.of(tool) for tool in tools or ()]


def from_core(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages that are no framework's, or that were changed for another provider."""
    return [_form(m) for m in messages]


def _form(message: Message) -> dict[str, Any]:
    form: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        images = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
        form["content"] = [{"type": "text", "text": message.content}, *images]
    if message.tool_calls:
        form |= {"content": message.content or None, "tool_calls": written_calls(message.tool_calls)}
    if message.role == "tool":
        form |= {"tool_call_id": message.tool_call_id or "", "name": message.name or ""}
    return form


def written_calls(calls: Iterable[ToolCall]) -> list[dict[str, Any]]:
    """Tool calls in the form that CrewAI's agents take from any LLM."""
    return [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": _arguments(c)}} for c in calls]


def _arguments(call: ToolCall) -> str:
    return json.dumps(dict(call.arguments)) if call.malformed is None else call.malformed


def outcome_of(
    attempt: Attempt,
    answer: Any,
    counted: Mapping[str, int],
    finish_reason: str | None = None,
    response_id: str | None = None,
) -> Outcome:
    """What an LLM gave back as an outcome: a text, a typed answer, or tool calls.

    Args:
        attempt: The call.
        answer: What `call` returned.
        counted: What the LLM added to its token counters.
        finish_reason: Why the model stopped, where the LLM said so.
        response_id: The provider's id of the answer, where the LLM said it.
    """
    fields: dict[str, Any] = {"text": answer if isinstance(answer, str) else ""}
    if isinstance(answer, BaseModel):
        fields = {"text": answer.model_dump_json()}
    elif isinstance(answer, list):
        fields = {"tool_calls": tuple(map(_call, cast("list[Any]", answer)))}
    said: dict[str, Any] = {"finish_reason": finish_reason, "response_id": response_id}
    return Outcome(attempt, usage=_usage(counted), raw=answer, **said, **fields)


def cut_off(attempt: Attempt, completion: Any) -> Outcome:
    """A typed answer that reached the longest length, as far as it goes: it was paid, and a verifier rejects it.

    Args:
        attempt: The call.
        completion: What OpenAI's client read of it.
    """
    text, usage = completion.choices[0].message.content or "", completion.usage
    said: dict[str, Any] = {"finish_reason": "length", "response_id": completion.id}
    paid = None if usage is None else Usage(usage.prompt_tokens, usage.completion_tokens)
    return Outcome(attempt, text=text, usage=paid, raw=text, **said)


def _call(call: Any) -> ToolCall:
    """A provider's own object, or the dictionary form."""
    form = cast("Mapping[str, Any]", call if isinstance(call, Mapping) else call.model_dump())
    function = form.get("function") or form.get("function_call") or form
    arguments = next((function[name] for name in ("arguments", "input", "args") if name in function), None)
    call_id = form.get("call_id") or form.get("id") or form.get("toolUseId") or ""
    return ToolCall.parse(function["name"], arguments, id=call_id)


def _usage(counted: Mapping[str, int]) -> Usage | None:
    if not counted["successful_requests"]:
        return None
    return Usage(
        counted["prompt_tokens"],
        counted["completion_tokens"],
        cached_tokens=counted["cached_prompt_tokens"],
        cache_write_tokens=counted["cache_creation_tokens"],
        reasoning_tokens=counted["reasoning_tokens"],
    )


def counters(usage: Usage | None) -> dict[str, int]:
    """The tokens of one answer by the names of CrewAI's counters."""
    usage = usage or Usage()
    tokens_in, tokens_out = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "successful_requests": 1,
        "cached_prompt_tokens": usage.cached_tokens,
        "cache_creation_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
