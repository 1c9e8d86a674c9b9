"""What is put on the wire for one reply: frames with their price, and where a fault strikes between them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, TypeAlias, cast

from tierwise.testing.provider.script import JsonObject, Reply, Request, Token, count_tokens, words

__all__ = [
    "Bill",
    "Fault",
    "Frame",
    "Piece",
    "Plan",
    "Step",
    "bill",
    "body_frames",
    "close",
    "encode",
    "prompt_tokens",
    "split",
    "spread",
    "steps",
    "text_pieces",
    "tokens",
    "whole",
]


@dataclass(frozen=True)
class Frame:
    """Bytes that leave together, and the tokens that they bill."""

    data: bytes
    input: int = 0
    output: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A rendered answer, before its faults.

    Attributes:
        content: The frames that carry chunks, which `*_after` counts.
        closing: The frames after the last chunk.
        failure: The frame that reports an error inside a 200 answer.
    """

    status: int = 200
    content_type: str = "application/json"
    streamed: bool = False
    content: tuple[Frame, ...] = ()
    closing: tuple[Frame, ...] = ()
    failure: Frame = field(default_factory=lambda: Frame(b""))
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def without_body(self) -> Plan:
        """The same answer as a HEAD request gets it."""
        return replace(self, content=(), closing=())


class Fault(Enum):
    """A fault between two frames."""

    STALL = auto()
    DISCONNECT = auto()


Step: TypeAlias = Frame | Fault


def body_frames(plan: Plan, reply: Reply) -> list[Frame]:
    """The frames that make up the body the client is promised."""
    frames = [*plan.content, *plan.closing]
    if reply.corrupt == "empty":
        return []
    if reply.corrupt == "malformed" and frames:
        position = min(1, len(frames) - 1) if plan.streamed else 0
        broken = b'data: {"choices": [nope\n\n' if plan.content_type == "text/event-stream" else b'{"message": nope\n'
        rest = frames[position + 1 :] if plan.streamed else []
        return [*frames[:position], replace(frames[position], data=broken), *rest]
    if reply.corrupt == "truncated" and frames:
        kept = len(plan.content) // 2
        last = frames[kept]
        return [*frames[:kept], replace(last, data=last.data[: max(1, len(last.data) // 2)])]
    if reply.error_after is not None and plan.streamed:
        return [*frames[: min(reply.error_after, len(plan.content))], plan.failure]
    return frames


def steps(frames: Sequence[Frame], plan: Plan, reply: Reply) -> list[Step]:
    """The frames with the reply's faults between them."""
    result: list[Step] = list(frames)
    chunks = min(len(plan.content), len(frames))
    if reply.disconnect_after is not None:
        result = [*result[: min(reply.disconnect_after, chunks)], Fault.DISCONNECT]
    if reply.stall_after is not None:
        position = min(reply.stall_after, chunks)
        result = [*result[:position], Fault.STALL, *result[position:]]
    return result


@dataclass(frozen=True)
class Piece:
    """A piece of text, with the tokens that it is made of if log probabilities were asked for."""

    text: str
    tokens: tuple[Token, ...] = ()


def split(text: str, size: int | None) -> list[str]:
    """Split a text into pieces of `size` characters, or into words."""
    if size is None:
        return words(text)
    return [text[start : start + size] for start in range(0, len(text), size)]


def text_pieces(reply: Reply, *, logprobs: bool) -> list[Piece]:
    """The visible answer in pieces; by token when log probabilities are sent."""
    if logprobs and reply.logprobs is not None:
        return [Piece(token.text, (token,)) for token in tokens(reply)]
    return [Piece(text) for text in split(reply.answer, reply.chunk_size)]


def tokens(reply: Reply) -> list[Token]:
    """The reply's tokens; bare log probabilities are laid over the text in equal pieces."""
    given = reply.logprobs or ()
    text, count = reply.answer, len(given)
    return [
        item
        if isinstance(item, Token)
        else Token(text[len(text) * place // count : len(text) * (place + 1) // count], item)
        for place, item in enumerate(given)
    ]


@dataclass(frozen=True, kw_only=True)
class Bill:
    """The token counts of one answer, none left open."""

    input: int
    output: int
    cached: int
    reasoning: int


def bill(request: Request, reply: Reply) -> Bill:
    """The token counts of a reply, counted where its usage leaves them open."""
    usage = reply.usage
    return Bill(
        input=prompt_tokens(request) if usage.input is None else usage.input,
        output=_answer_tokens(reply) if usage.output is None else usage.output,
        cached=usage.cached,
        reasoning=usage.reasoning,
    )


def prompt_tokens(request: Request) -> int:
    """Count the tokens of all messages, at least one."""
    return max(1, sum(count_tokens(text) for message in request.messages for text in _texts(message.get("content"))))


def spread(data: Iterable[bytes], price: Bill) -> tuple[Frame, ...]:
    """Spread an answer's tokens evenly over its chunks; the prompt is billed with the first."""
    chunks = list(data)
    count = len(chunks)
    return tuple(
        Frame(
            chunk,
            input=0 if place else price.input,
            output=price.output * (place + 1) // count - price.output * place // count,
        )
        for place, chunk in enumerate(chunks)
    )


def close(content: tuple[Frame, ...], data: Sequence[bytes], price: Bill) -> tuple[Frame, ...]:
    """The closing frames; they carry the price if there was no chunk to carry it."""
    frames = [Frame(item) for item in data]
    if not content and frames:
        frames[0] = replace(frames[0], input=price.input, output=price.output)
    return tuple(frames)


def whole(data: bytes, price: Bill | None = None) -> tuple[Frame, ...]:
    """A body that is not streamed, in halves; the first carries the whole price."""
    middle = len(data) // 2
    first = Frame(data[:middle], price.input, price.output) if price else Frame(data[:middle])
    return (first, Frame(data[middle:]))


def encode(value: object) -> bytes:
    """Serialize as the real servers do: in UTF-8, or in ASCII with escapes where UTF-8 cannot express a character."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _answer_tokens(reply: Reply) -> int:
    visible = count_tokens(reply.answer) if reply.logprobs is None else len(reply.logprobs)
    calls = sum(count_tokens(call.name) + count_tokens(call.arguments_text) for call in reply.tool_calls)
    return visible + count_tokens(reply.thinking) + calls


def _texts(content: Any) -> list[str]:
    """The texts of a message's content, which is a string, a list of parts, or nothing."""
    if isinstance(content, str):
        return [content]
    parts = cast("list[JsonObject]", content) if isinstance(content, list) else []
    return [str(part.get("text") or "") for part in parts]
