"""Tool calls that a model wrote as text. Small models do it whatever their template says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from tierwise.flow import Outcome
from tierwise.task import Tool, ToolCall

__all__ = ["repair_tool_calls", "repaired"]

_FENCE = re.compile(r"```(?:json|tool_call|python|xml)?\s*(.*?)```", re.DOTALL)
_TAG = re.compile(r"<(tool_call|function_call|tools?)>\s*(.*?)\s*(?:</\1>|$)", re.DOTALL)
_WINDOW = 20_000
"""Characters of an answer that are searched."""


def repaired(outcome: Outcome) -> Outcome:
    """The outcome with the tool calls that its text holds, if it has none of its own and the task has tools.

    The calls are marked as repaired, and the text that held them is dropped.
    """
    tools = outcome.attempt.task.tools
    if not tools or outcome.tool_calls or outcome.error is not None or "{" not in outcome.text:
        return outcome
    calls = repair_tool_calls(outcome.text, tools)
    return replace(outcome, tool_calls=calls, text="") if calls else outcome


def repair_tool_calls(text: str, tools: Sequence[Tool]) -> tuple[ToolCall, ...]:
    """The calls of known tools that a text consists of, or holds in fences or tags; none if it is something else.

    A JSON object counts only if it names one of the tools: an answer that *shows* some other JSON is left alone.

    Args:
        text: What the model wrote.
        tools: What it could have called.
    """
    names = {tool.name for tool in tools}
    for block in _blocks(text[:_WINDOW]):
        calls = tuple(_calls(block, names))
        if calls:
            return tuple(replace(c, id=f"call_{i}") for i, c in enumerate(calls))
    return ()


def _blocks(text: str) -> Iterator[str]:
    tagged = [m.group(2) for m in _TAG.finditer(text)]
    fenced = [m.group(1) for m in _FENCE.finditer(text)]
    if tagged:
        yield "\n".join(tagged)
    if fenced:
        yield "\n".join(fenced)
    if text.lstrip()[:1] in ("{", "["):
        yield text


def _calls(block: str, names: set[str]) -> Iterator[ToolCall]:
    decoder = json.JSONDecoder(strict=False)
    at = 0
    while match := re.compile(r"[{\[]").search(block, at):
        try:
            value, at = decoder.raw_decode(block, match.start())
        except ValueError:
            return
        for item in cast("list[Any]", value if isinstance(value, list) else [value]):
            call = _call(item, names)
            if call is None:
                return
            yield call


def _call(value: Any, names: set[str]) -> ToolCall | None:
    if not isinstance(value, Mapping):
        return None
    item = cast("Mapping[str, Any]", value)
    inner = item.get("function")
    if isinstance(inner, Mapping):
        item = cast("Mapping[str, Any]", inner)
    name = item.get("name", item.get("tool", item.get("function")))
    if not isinstance(name, str) or name not in names:
        return None
    arguments: Any = next((item[k] for k in ("arguments", "parameters", "args", "input") if k in item), {})
    return replace(ToolCall.parse(name, arguments), repaired=True)
