"""What was asked and answered, in the form of the GenAI conventions. Recorded only where content is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tierwise.attempt import Outcome
from tierwise.messages import Message, ToolCall
from tierwise.task import Task
from tierwise.telemetry import names
from tierwise.telemetry.attributes import Attributes

__all__ = ["answered", "asked"]


def asked(task: Task) -> Attributes:
    """The messages and the tools of a task, as JSON. Of an image only that there is one: it may be large."""
    found: Attributes = {names.INPUT_MESSAGES: _json([_message(message) for message in task.messages])}
    if task.tools:
        tools = [{"type": "function", **tool.as_dict()["function"]} for tool in task.tools]
        found[names.TOOL_DEFINITIONS] = _json(tools)
    return found


def answered(outcome: Outcome) -> Attributes:
    """An answer, as JSON; nothing if there is none."""
    parts = [*_reasoning(outcome.thinking), *_text(outcome.text), *map(_call, outcome.tool_calls)]
    if not parts:
        return {}
    message = {"role": "assistant", "parts": parts, "finish_reason": outcome.finish_reason or "error"}
    return {names.OUTPUT_MESSAGES: _json([message])}


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        part = {"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}
        return {"role": "tool", "parts": [part]}
    parts = [*_reasoning(message.thinking), *_text(message.content), *map(_call, message.tool_calls)]
    return {"role": message.role, "parts": [*parts, *({"type": "image"} for _ in message.images)]}


def _text(text: str) -> Iterable[dict[str, Any]]:
    return [{"type": "text", "content": text}] if text else []


def _reasoning(text: str) -> Iterable[dict[str, Any]]:
    return [{"type": "reasoning", "content": text}] if text else []


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = dict(call.arguments) if call.malformed is None else call.malformed
    return {"type": "tool_call", "id": call.id or None, "name": call.name, "arguments": arguments}


def _json(value: Any) -> str:
    # In ASCII, so that whatever a text holds, an exporter can write it.
    return json.dumps(value, default=str)
