"""A conversation that one provider's model began, made fit for another's.

What only its writer can read is dropped: thoughts, their signatures and cache markers. Calls of tools and their results
are paired as every provider asks for: each call has an id of its own and one result, which follows at once.

- A result (or call) without an id is paired by the tool's name, within the last turn that has an open call of it.
- A call that nothing answers (a run that was stopped, a history that was cut) gets a failed result that says so.
- A result whose call is gone stands as a user's message that quotes it: dropping it would lose what is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tierwise.messages import Message, ToolCall

__all__ = ["portable"]

_IDS = {"mistral": re.compile(r"[a-zA-Z0-9]{9}")}
"""What a provider takes as the id of a call, where it takes less than the rest."""
_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
"""What every other provider takes."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 9
"""Characters of an id that is written here: letters and digits, so that all providers take it."""
_UNANSWERED = "no result: the call was not carried out"


def portable(
    messages: Sequence[Message], *, provider: str, cache: bool = False, alternating: bool = False
) -> tuple[Message, ...]:
    """The conversation as a model of the provider can read it.

    What the provider's own models wrote is kept as it is, and so is a conversation that is fit already: the function
    changes nothing the second time. A history that has grown keeps the ids that it had, so that prompt caches hold.

    Args:
        messages: The conversation; nothing in it is changed.
        provider: The target, as in a model's id (`mistral`, `anthropic`).
        cache: Whether the target reads cache markers.
        alternating: Whether the target takes no two messages of the same role in a row; they are joined then.
    """
    own = [m for m in (_without_foreign(m, provider, cache) for m in messages) if not _is_void(m)]
    acted = any(m.tool_calls or m.role == "tool" for m in own)
    named = _with_ids(_paired(own), provider) if acted else own
    return tuple(_joined(named) if alternating else named)


def _without_foreign(message: Message, provider: str, cache: bool) -> Message:
    marked = message.cache and cache
    if message.origin == provider:
        return message if marked == message.cache else replace(message, cache=marked)
    if not message.thinking and message.signature is None and marked == message.cache:
        return message
    return replace(message, thinking="", signature=None, cache=marked)


def _is_void(message: Message) -> bool:
    """True of an assistant's message that has nothing left: several providers refuse such a one."""
    empty = not (message.content or message.tool_calls or message.images or message.thinking)
    return empty and message.role == "assistant"


@dataclass(slots=True, eq=False)
class _Turn:
    """A message, and the results of the calls in it, in the order in which they came."""

    message: Message
    results: list[tuple[int, Message]] = field(default_factory=list[tuple[int, Message]])
    """Each with the place of its call."""
    open: dict[int, ToolCall] = field(default_factory=dict[int, ToolCall])
    """Calls without a result so far, by place."""


def _paired(messages: Sequence[Message]) -> list[_Turn]:
    turns: list[_Turn] = []
    waiting: list[_Turn] = []
    for message in messages:
        if message.role != "tool":
            turn = _Turn(message, open=dict(enumerate(message.tool_calls)))
            turns.append(turn)
            if turn.open:
                waiting.append(turn)
            continue
        found = _call_of(message, waiting)
        if found is None:
            turns.append(_Turn(_quoted(message)))
            continue
        turn, place = found
        del turn.open[place]
        turn.results.append((place, message))
        if not turn.open:
            waiting.remove(turn)
    for turn in waiting:
        turn.results += [(place, _unanswered(call)) for place, call in turn.open.items()]
    return turns


def _call_of(result: Message, waiting: Sequence[_Turn]) -> tuple[_Turn, int] | None:
    for turn in reversed(waiting):
        for place, call in turn.open.items():
            if _answers(result, call):
                return turn, place
    return None


def _answers(result: Message, call: ToolCall) -> bool:
    if result.tool_call_id and call.id:
        return result.tool_call_id == call.id
    return result.name is None or result.name == call.name


def _unanswered(call: ToolCall) -> Message:
    return Message("tool", _UNANSWERED, tool_call_id=call.id or None, name=call.name, failed=True)


def _quoted(result: Message) -> Message:
    tool = f" of the tool {result.name!r}" if result.name else ""
    quote = f"A result{tool}, whose call is not in this conversation:\n{result.content}"
    return Message("user", quote, images=result.images, cache=result.cache)


def _with_ids(turns: Sequence[_Turn], provider: str) -> list[Message]:
    form = _IDS.get(provider, _ID)
    used: set[str] = set()
    said: list[Message] = []
    for turn in turns:
        calls = turn.message.tool_calls
        ids = [_id(call.id, None if turn.message.origin == provider else form, used) for call in calls]
        said.append(_renamed(turn.message, ids))
        said += [_answering(result, ids[place], calls[place].name) for place, result in turn.results]
    return said


def _id(given: str, form: re.Pattern[str] | None, used: set[str]) -> str:
    """The id itself if the target takes it and it is the first of its kind; else one that follows from its place."""
    name = given
    if not given or given in used or (form is not None and not form.fullmatch(given)):
        name = _digest(f"{len(used)}:{given}")
        while name in used:
            name = _digest(name)
    used.add(name)
    return name


def _digest(text: str) -> str:
    import hashlib

    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", errors="replace")).digest()[:8], "big")
    letters: list[str] = []
    for _ in range(_LENGTH):
        number, rest = divmod(number, len(_DIGITS))
        letters.append(_DIGITS[rest])
    return "".join(letters)


def _renamed(message: Message, ids: Sequence[str]) -> Message:
    calls = message.tool_calls
    if all(call.id == name for call, name in zip(calls, ids, strict=True)):
        return message
    return replace(message, tool_calls=tuple(replace(c, id=name) for c, name in zip(calls, ids, strict=True)))


def _answering(result: Message, call_id: str, name: str) -> Message:
    if result.tool_call_id == call_id and result.name is not None:
        return result
    return replace(result, tool_call_id=call_id, name=result.name or name)


def _joined(messages: Sequence[Message]) -> list[Message]:
    joined: list[Message] = []
    for message in messages:
        before = joined[-1] if joined else None
        if before is None or not (_is_plain(before) and _is_plain(message)) or before.role != message.role:
            joined.append(message)
            continue
        text = "\n\n".join(part for part in (before.content, message.content) if part)
        joined[-1] = replace(before, content=text, images=before.images + message.images, cache=message.cache)
    return joined


def _is_plain(message: Message) -> bool:
    return message.role != "tool" and not (message.tool_calls or message.thinking or message.signature)
