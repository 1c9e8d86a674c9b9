"""CrewAI's messages and answers as Tierwise's, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel
from tierwise import Attempt, Message, Outcome, Tool, ToolCall, Usage

__all__ = ["from_core", "outcome_of", "to_core", "tools_to_core", "written_calls"]


def to_core(messages: str | Sequence[Mapping[str, Any]]) -> list[Message]:
    """What policies and verifiers read: texts, tool calls and images."""
    given = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return [Message.of({**m, "content": _known(m.get("content"))}) for m in given]


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
    """The messages of a task that is no framework's, e.g. a judge's."""
    return [_form(m) for m in messages]


def _form(message: Message) -> dict[str, Any]:
    form: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        images = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
        form["content"] = [{"type": "text", "text": message.content}, *images]
    if message.tool_calls:
        form["tool_calls"] = written_calls(message.tool_calls)
    if message.role == "tool":
        form |= {"tool_call_id": message.tool_call_id or "", "name": message.name or ""}
    return form


def written_calls(calls: Iterable[ToolCall]) -> list[dict[str, Any]]:
    """Tool calls in the form that CrewAI's agents take from any LLM."""
    return [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(dict(c.arguments))}}
        for c in calls
    ]


def outcome_of(attempt: Attempt, answer: Any, counted: Mapping[str, int]) -> Outcome:
    """What an LLM gave back as an outcome: a text, a typed answer, or tool calls.

    Args:
        attempt: The call.
        answer: What `call` returned.
        counted: What the LLM added to its token counters.
    """
    fields: dict[str, Any] = {"text": answer if isinstance(answer, str) else ""}
    if isinstance(answer, BaseModel):
        fields = {"text": answer.model_dump_json()}
    elif isinstance(answer, list):
        fields = {"tool_calls": tuple(_call(c) for c in cast("list[Any]", answer))}
    return Outcome(attempt, usage=_usage(counted), raw=answer, **fields)


def _call(call: Any) -> ToolCall:
    """A provider's own object, or the dictionary form."""
    form = cast("Mapping[str, Any]", call if isinstance(call, Mapping) else call.model_dump())
    function = form.get("function", form)
    return ToolCall.parse(function["name"], function.get("arguments", function.get("input")), id=form.get("id") or "")


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
