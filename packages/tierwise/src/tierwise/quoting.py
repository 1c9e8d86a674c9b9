"""Other people's words inside a prompt of ours: they are data, whatever they say."""

from __future__ import annotations

import json
import sys
from typing import Any

from tierwise.task import Task

__all__ = ["enclosed", "said", "shortened"]


def enclosed(tag: str, value: Any) -> str:
    r"""A value as JSON between `<tag>` markers, which nothing in it can close.

    Line breaks are escaped, as JSON does, and `</` is written `<\/`, which is the same text in JSON.
    """
    text = json.dumps(value, ensure_ascii=False).replace("</", "<\\/")
    return f"<{tag}>\n{text}\n</{tag}>"


def shortened(text: str, limit: int) -> str:
    """The text, with its middle left out where it is longer than `limit` characters.

    The mark that says so comes on top of them.
    """
    if len(text) <= limit:
        return text
    tail = limit // 3
    cut = len(text) - limit
    return f"{text[: limit - tail]}\n[{cut} characters left out]\n{text[len(text) - tail :]}"


def said(task: Task, limit: int = sys.maxsize) -> list[dict[str, str]]:
    """The latest messages of a task, oldest first, up to `limit` characters together; calls of tools as JSON."""
    found: list[dict[str, str]] = []
    left = limit
    for message in reversed(task.messages):
        if left <= 0:
            found.append({"role": "note", "content": "earlier messages are left out"})
            break
        calls = [{"name": c.name, "arguments": dict(c.arguments)} for c in message.tool_calls]
        text = message.content or (json.dumps(calls, ensure_ascii=False, default=str) if calls else "")
        if text:
            found.append({"role": message.role, "content": shortened(text, left)})
            left -= len(text)
    return found[::-1]
