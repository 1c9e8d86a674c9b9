"""Tool calls that a model wrote as text. Small models do it whatever their template says.

A block is a JSON object (or several) in the text itself, in a code fence or between tags such as `<tool_call>`. It is a
call if it names one of the task's tools and holds arguments for it. What else the text holds decides:

- Between tags it is always a call: tags are what models are trained to call with. The text around them stays text.
- Elsewhere it is one only if the block is the message's substance: all blocks are calls, and the prose around them is
  short, holds no brace (a further call that was cut off), and does not say that it shows an example. An answer that
  explains a call, or shows other JSON or code beside it, stays an answer. (Words for examples are English ones.)

Blocks are mended where no meaning is at stake: commas before a closing bracket, single quotes, Python's constants, line
breaks inside strings, a last closing brace that was left out. A call that was cut off inside its arguments stays text.

All passes are linear in the text's length: this reads what models write, and runs on every answer to a task with tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn, cast

from tierwise.attempt import Outcome
from tierwise.ids import new_id
from tierwise.messages import Tool, ToolCall

__all__ = ["repair_tool_calls", "repaired"]

_FENCE = "```"
_LANGUAGE = re.compile(r"[\w+-]{0,20}[ \t]*(?:\n|(?=[{\[<]))")
_TAGS = ("tool_call", "function_call", "tool", "tools")
_TAG = re.compile(f"<({'|'.join(_TAGS)})>")
_BRACKET = re.compile(r'\\.|["{}\[\]]', re.DOTALL)
_LOOSE = re.compile(r"""\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|,(?=\s*[}\]])|\b(?:True|False|None)\b""", re.DOTALL)
_CONSTANTS = {"True": "true", "False": "false", "None": "null"}
_SHOWS = re.compile(
    r"\b(?:examples?|e\.g\.|for instance|looks? like|(?:you|one|we) (?:can|could|would|should|may|might))\b",
    re.IGNORECASE,
)
_CHATTER = 160
"""Characters of prose that may stand around a call; as many as the call itself has, if that is more."""
_DEEPEST = 64
"""Brackets inside brackets: more is no call, and would exhaust the JSON parser's stack."""
_ARGUMENTS = ("arguments", "parameters", "args", "input")
_ENVELOPE = frozenset({"name", "tool", "tool_name", "function", "type", "id"})


def repaired(outcome: Outcome) -> Outcome:
    """The outcome with the tool calls that its text holds, if it has none of its own and the task has tools.

    The calls are marked as repaired, and leave the text.
    """
    tools = outcome.attempt.task.tools
    if not tools or outcome.tool_calls or outcome.error is not None or "{" not in outcome.text:
        return outcome
    calls, rest = _read(outcome.text, tools)
    return replace(outcome, tool_calls=calls, text=rest) if calls else outcome


def repair_tool_calls(text: str, tools: Sequence[Tool]) -> tuple[ToolCall, ...]:
    """The calls of known tools that a text consists of; none if it is something else.

    Args:
        text: What the model wrote.
        tools: What it could have called.
    """
    return _read(text, tools)[0]


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of the text."""

    kind: Literal["prose", "tag", "fence", "json"]
    text: str


def _read(text: str, tools: Sequence[Tool]) -> tuple[tuple[ToolCall, ...], str]:
    """The calls, and the text that is left without them."""
    known = {tool.name: tool for tool in tools}
    blocks = list(_blocks(text))
    read = [(block, () if block.kind == "prose" else _calls(block.text, known)) for block in blocks]
    tagged = [calls for block, calls in read if block.kind == "tag"]
    if tagged and all(tagged):
        return _numbered(tagged), "".join(b.text for b in blocks if b.kind != "tag").strip()
    written = [calls for block, calls in read if block.kind != "prose"]
    prose = "".join(b.text for b in blocks if b.kind == "prose").strip()
    size = sum(len(b.text) for b in blocks if b.kind != "prose")
    if not all(written) or "{" in prose or len(prose) > max(_CHATTER, size) or _SHOWS.search(prose):
        return (), text
    return _numbered(written), prose if any(c.isalnum() for c in prose) else ""


def _numbered(found: Sequence[Sequence[ToolCall]]) -> tuple[ToolCall, ...]:
    return tuple(replace(call, id=f"call_{new_id()}", repaired=True) for calls in found for call in calls)


def _blocks(text: str) -> Iterator[_Block]:
    for place, part in enumerate(text.split(_FENCE)):
        if place % 2:
            language = _LANGUAGE.match(part)
            yield _Block("fence", part[language.end() :] if language else part)
        else:
            yield from _unfenced(part)


def _unfenced(text: str) -> Iterator[_Block]:
    at = 0
    while tag := _TAG.search(text, at):
        yield from _bare(text[at : tag.start()])
        # A model that stops at its call leaves the closing tag out.
        closing = f"</{tag[1]}>"
        end = text.find(closing, tag.end())
        yield _Block("tag", text[tag.end() : end if end >= 0 else len(text)])
        at = end + len(closing) if end >= 0 else len(text)
    yield from _bare(text[at:])


def _bare(text: str) -> Iterator[_Block]:
    at = 0
    for start, end in _spans(text):
        yield _Block("prose", text[at:start])
        # `[1]` is a footnote: only lists of objects count as JSON.
        is_json = text[start] == "{" or text[start + 1 : end].lstrip().startswith("{")
        yield _Block("json" if is_json else "prose", text[start:end])
        at = end
    yield _Block("prose", text[at:])


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the outermost pairs of brackets begin and end; a last brace that was left out counts as there."""
    closers: list[str] = []
    start, quoted, deepest = 0, False, 0
    for match in _BRACKET.finditer(text):
        mark = match[0]
        if mark == '"' and closers:
            quoted = not quoted
        if quoted or mark[0] in '\\"':
            continue
        if mark in "{[":
            if not closers:
                start, deepest = match.start(), 0
            closers.append("}" if mark == "{" else "]")
            deepest = max(deepest, len(closers))
        elif closers:
            if closers.pop() != mark:
                closers.clear()
            elif not closers and deepest <= _DEEPEST:
                yield start, match.end()
    if closers == ["}"] and not quoted and deepest <= _DEEPEST and text.rstrip().endswith("}"):
        yield start, len(text)


def _calls(block: str, known: Mapping[str, Tool]) -> tuple[ToolCall, ...]:
    """The calls that a block consists of; none if there is anything else in it."""
    tag = _TAG.search(block)
    body = block[tag.end() :].partition(f"</{tag[1]}>")[0] if tag else block
    calls: list[ToolCall] = []
    at = 0
    for start, end in _spans(body):
        read = _listed(_parsed(body[start:end]), known)
        if not read or body[at:start].strip(" \t\r\n,;"):
            return ()
        calls += read
        at = end
    return () if body[at:].strip(" \t\r\n,;") else tuple(calls)


def _parsed(text: str) -> Any:
    """The JSON value, mended where it has to be; `None` if it is none."""
    for candidate in (text, _strict(text)):
        for ending in ("", "}"):
            try:
                return json.loads(candidate + ending, strict=False, parse_constant=_no_number)
            except ValueError:
                continue
    return None


def _strict(text: str) -> str:
    """The text without the liberties that models take with JSON."""

    def mended(match: re.Match[str]) -> str:
        part = match[0]
        if part == ",":
            return ""
        if part[0] == "'":
            return '"' + part[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
        return _CONSTANTS.get(part, part)

    return _LOOSE.sub(mended, text)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _listed(value: Any, known: Mapping[str, Tool]) -> list[ToolCall]:
    """The calls that a value stands for; none if any part of it is no call."""
    if isinstance(value, Mapping):
        value = cast("Mapping[str, Any]", value).get("tool_calls", cast("Any", value))
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    calls = [_call(item, known) for item in items]
    return [] if None in calls else [call for call in calls if call is not None]


def _call(value: Any, known: Mapping[str, Tool]) -> ToolCall | None:
    if not isinstance(value, Mapping):
        return None
    item = cast("Mapping[str, Any]", value)
    inner = item.get("function", item.get("function_call"))
    if isinstance(inner, Mapping):
        item = cast("Mapping[str, Any]", inner)
    key = next((k for k in ("name", "tool", "tool_name", "function") if isinstance(item.get(k), str)), None)
    tool = None if key is None else known.get(item[key])
    if tool is None:
        return None
    arguments = _arguments(item, tool)
    return None if arguments is None else ToolCall(tool.name, arguments)


def _arguments(item: Mapping[str, Any], tool: Tool) -> Mapping[str, Any] | None:
    """The arguments for the tool; `None` if the object holds none, and so is about something else."""
    held = next((k for k in _ARGUMENTS if k in item), None)
    if held is not None:
        given = item[held]
        if not (given is None or isinstance(given, str | Mapping)):
            return None
        call = ToolCall.parse(tool.name, cast("str | Mapping[str, Any] | None", given))
        return None if call.malformed is not None else call.arguments
    rest = {k: v for k, v in item.items() if k not in _ENVELOPE}
    if rest.keys() <= tool.parameters.get("properties", {}).keys():
        return rest if rest or not tool.parameters.get("required") else None
    return None
