"""What tells a request from another that comes under the same key."""

from __future__ import annotations

import json
from typing import Any

from tierwise.messages import Message
from tierwise.schema import as_json_schema
from tierwise.task import Task

__all__ = ["fingerprint"]


def fingerprint(task: Task) -> str:
    """A hash (SHA-256) of what is asked: messages, tools, and the form that the answer has.

    Who asks, and in what bounds, is no part of it: a deadline may be longer the second time.
    """
    import hashlib

    asked = {
        "messages": [_message(message) for message in task.messages],
        "tools": [tool.as_dict() for tool in task.tools],
        "tools_required": task.tools_required,
        "schema": None if task.output_schema is None else as_json_schema(task.output_schema),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def _message(message: Message) -> list[Any]:
    calls = [[call.name, call.malformed or dict(call.arguments), call.id] for call in message.tool_calls]
    said = [message.role, message.content, message.images, calls, message.tool_call_id, message.name, message.failed]
    return [*said, message.thinking]
