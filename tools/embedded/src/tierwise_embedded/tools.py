"""Finds tool calls in generated text, as Ollama does: only those in the template's own tags.

A call that a model writes in another way, such as a fenced block of JSON, stays in the text.
"""

import json
import secrets
from typing import Any

__all__ = ["ToolCallParser"]

_OPEN = "<tool_call>"
_CLOSE = "</tool_call>"


class ToolCallParser:
    """Splits a stream of text into content and whole calls."""

    def __init__(self) -> None:
        self._held = ""
        self._count = 0

    def feed(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        """Take a piece of text; return the content that can be shown, and the calls that are complete."""
        self._held += text
        content = ""
        calls: list[dict[str, Any]] = []
        while True:
            before, tag, after = self._held.partition(_OPEN)
            if not tag:
                keep = _overlap(self._held, _OPEN)
                content += self._held[: len(self._held) - keep]
                self._held = self._held[len(self._held) - keep :]
                return content, calls
            body, end, rest = after.partition(_CLOSE)
            if not end:
                content += before
                self._held = tag + after
                return content, calls
            call = self._call(body)
            content += before if call else before + tag + body + end
            if call:
                calls.append(call)
            self._held = rest.lstrip("\n")

    def finish(self) -> tuple[str, list[dict[str, Any]]]:
        """Return what is still held at the end: a call whose closing tag was not written, or text."""
        held, self._held = self._held, ""
        call = self._call(held.removeprefix(_OPEN)) if held.startswith(_OPEN) else None
        return ("", [call]) if call else (held, [])

    def _call(self, body: str) -> dict[str, Any] | None:
        try:
            value: Any = json.loads(body)
            function = {"index": self._count, "name": str(value["name"]), "arguments": dict(value["arguments"])}
        except (ValueError, KeyError, TypeError):
            return None
        self._count += 1
        return {"id": f"call_{secrets.token_hex(4)}", "function": function}


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of `text` may be the start of `tag`."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
