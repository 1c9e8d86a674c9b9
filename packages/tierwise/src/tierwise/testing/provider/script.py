"""What a test tells the provider to answer: replies, and the request they may depend on."""

from __future__ import annotations

import json as jsonlib
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Literal, TypeAlias

__all__ = [
    "Call",
    "Dialect",
    "JsonObject",
    "Reply",
    "ReplyFunction",
    "Request",
    "Script",
    "Token",
    "Usage",
    "count_tokens",
    "words",
]

JsonObject: TypeAlias = dict[str, Any]
Dialect: TypeAlias = Literal["ollama", "openai"]

_WORD = re.compile(r"\s*\S+|\s+")


def words(text: str) -> list[str]:
    """Split a text into words that keep their leading space; joined, they are the text again."""
    return _WORD.findall(text)


def count_tokens(text: str) -> int:
    """Count tokens by the provider's own deterministic rule: one token per word.

    Returns:
        The number of tokens, zero for an empty text.
    """
    return len(words(text))


@dataclass(frozen=True)
class Call:
    """A tool call that the model makes.

    Attributes:
        name: The tool's name.
        arguments: An object, or a string that is sent as it is (for arguments that are not valid JSON).
        id: The call's id; generated when `None`.
    """

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict[str, Any])
    id: str | None = None

    @property
    def arguments_text(self) -> str:
        """The arguments as the text a model would write."""
        return self.arguments if isinstance(self.arguments, str) else jsonlib.dumps(self.arguments)


@dataclass(frozen=True)
class Token:
    """One token of the answer with its log probability.

    Attributes:
        text: The token's text.
        logprob: The natural logarithm of its probability.
        top: The alternatives, as pairs of text and log probability, the likeliest first.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Token counts of one answer. They are what is billed, and what is reported unless the reply hides it.

    Attributes:
        input: Prompt tokens, cached ones included; counted from the messages when `None`.
        output: Generated tokens, reasoning included; counted from the answer when `None`.
        cached: Prompt tokens read from the cache (only the OpenAI dialect reports them).
        reasoning: Generated tokens spent on reasoning (only the OpenAI dialect reports them).
    """

    input: int | None = None
    output: int | None = None
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One scripted answer, good or bad.

    A stream is cut into *chunks*: pieces of thinking, of text, and of tool calls. `*_after` fields count them;
    a number beyond the last chunk means "after the last chunk, before the finish". An answer that is not streamed
    has two chunks, the halves of its body, and its headers leave with the first.

    Attributes:
        text: The visible answer.
        thinking: The reasoning text, sent apart from the answer.
        tool_calls: Tool calls, several for parallel ones.
        json: A value sent as the answer's text, serialized; instead of `text`.
        logprobs: Log probabilities, sent only when the request asks for them. `Token` values give the text's
            tokens; floats are laid over the text in as many pieces.
        usage: Token counts; see `Usage`.
        usage_position: Where a stream of the OpenAI dialect reports usage: `after` the finish reason in a chunk of
            its own (as OpenAI does), `with` it, `before` it, or nowhere (`missing`, in both dialects).
        finish_reason: `stop`, `length`, `tool_calls` or `content_filter`; derived from the answer when `None`.
        model: The model name in the answer, if it differs from the request's.
        chunk_size: Characters per chunk; one word per chunk when `None`.
        first_token_delay: Seconds before the first chunk, after a stream's headers.
        chunk_delay: Seconds between chunks.
        status: The HTTP status. Anything but 200 answers with an error in the dialect's shape.
        error: The error's message; the dialect's usual one for the status when `None`.
        error_code: The error's machine-readable code. `context_length_exceeded` has a usual message in both dialects.
        error_after: Sends an error inside a 200 answer after this many chunks.
        retry_after: The `Retry-After` header: seconds, an aware `datetime` sent as an HTTP date, or the raw text.
        retry_after_ms: The `retry-after-ms` header, in milliseconds.
        headers: More response headers.
        refuse: Resets the connection without a byte of answer.
        disconnect_after: Closes the connection after this many chunks, without the end of the body.
        stall: Never answers, not even with headers.
        stall_after: Falls silent after this many chunks; 0 sends a stream's headers alone.
        gate: Ends the stall (or holds the whole answer back, if no stall is asked for) once the event is set.
        corrupt: Sends a body that is well framed in HTTP and broken inside: `malformed`, `truncated` or `empty`.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: Sequence[Call] = ()
    json: Any = None
    logprobs: Sequence[Token | float] | None = None
    usage: Usage = field(default_factory=Usage)
    usage_position: Literal["after", "with", "before", "missing"] = "after"
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"] | None = None
    model: str | None = None
    chunk_size: int | None = None
    first_token_delay: float = 0.0
    chunk_delay: float = 0.0
    status: int = 200
    error: str | None = None
    error_code: str | None = None
    error_after: int | None = None
    retry_after: float | str | datetime | None = None
    retry_after_ms: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    refuse: bool = False
    disconnect_after: int | None = None
    stall: bool = False
    stall_after: int | None = None
    gate: threading.Event | None = None
    corrupt: Literal["malformed", "truncated", "empty"] | None = None

    @property
    def answer(self) -> str:
        """The visible text, whichever field gave it."""
        if self.json is not None:
            return jsonlib.dumps(self.json)
        if not self.text and self.logprobs:
            return "".join(token.text for token in self.logprobs if isinstance(token, Token))
        return self.text

    @property
    def all_headers(self) -> dict[str, str]:
        """The response headers that the reply asks for."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = _retry_after(self.retry_after)
        if self.retry_after_ms is not None:
            headers["retry-after-ms"] = str(self.retry_after_ms)
        return headers


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as the provider understood it.

    Attributes:
        dialect: `ollama` or `openai`.
        path: The HTTP path, without the query.
        model: The model asked for; empty when the route has none.
        messages: The messages as sent.
        tools: The tool definitions as sent.
        schema: The JSON schema that constrains the answer; `{"type": "object"}` for plain JSON mode.
        stream: Whether a stream was asked for.
        options: Ollama's `options`, or everything but model, messages, tools and stream in the OpenAI dialect.
        headers: The request headers, names in lower case.
        body: The whole parsed body.
    """

    dialect: Dialect
    path: str
    model: str = ""
    messages: list[JsonObject] = field(default_factory=list[JsonObject])
    tools: list[JsonObject] = field(default_factory=list[JsonObject])
    schema: JsonObject | None = None
    stream: bool = False
    options: JsonObject = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: JsonObject = field(default_factory=dict[str, Any], repr=False)


ReplyFunction: TypeAlias = Callable[[Request], Reply]


class Script:
    """The replies of one model or path: a queue whose last reply repeats, or a function."""

    def __init__(self, replies: Sequence[Reply | ReplyFunction], default: Reply | ReplyFunction | None = None) -> None:
        if not replies and default is None:
            raise ValueError("a script needs at least one reply")
        self._queue = list(replies)
        self._default = default
        self._lock = threading.Lock()

    def next(self, request: Request) -> Reply:
        """Take the reply for one request."""
        step = self._take()
        return step if isinstance(step, Reply) else step(request)

    def _take(self) -> Reply | ReplyFunction:
        with self._lock:
            if len(self._queue) > 1 or (self._queue and self._default is not None):
                return self._queue.pop(0)
            return self._queue[0] if self._default is None else self._default


def _retry_after(value: float | str | datetime) -> str:
    if isinstance(value, datetime):
        return format_datetime(value, usegmt=True)
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() else str(value)
