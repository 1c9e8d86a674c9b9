"""What a route answers, before it meets a socket."""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tierwise_embedded.engine import Cancellation
from tierwise_embedded.errors import ApiError, EngineError

__all__ = ["Request", "Reply", "Stream", "Response", "json_reply", "text_reply", "ndjson", "now", "timestamp", "JSON"]

JSON_UTF8 = "application/json; charset=utf-8"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """A request, read whole."""

    method: str
    path: str
    body: bytes = b""
    cancellation: Cancellation = field(default_factory=Cancellation)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in one piece."""

    status: int
    body: bytes
    content_type: str | None = JSON_UTF8
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer in pieces.

    Its status is known when its first piece is: an error raised before that becomes an answer of its own.
    """

    content_type: str
    pieces: Generator[bytes]
    on_error: Callable[[ApiError], Reply]


Response = Reply | Stream


def json_reply(value: object, status: int = 200, *, content_type: str = JSON_UTF8, end: str = "") -> Reply:
    """Answer with a JSON document."""
    return Reply(status, _encode(_compact(value) + end), content_type)


def text_reply(text: str, status: int, *, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer with plain text."""
    return Reply(status, text.encode(), "text/plain", headers or {})


def ndjson(values: Generator[object]) -> Stream:
    """Answer with one JSON document a line; an error after the first line becomes the last line."""

    def lines() -> Generator[bytes]:
        begun = False
        try:
            for value in values:
                yield _encode(_compact(value) + "\n")
                begun = True
        except (ApiError, EngineError) as error:
            if not begun:
                raise
            yield _encode(_compact({"error": str(error)}) + "\n")
        finally:
            values.close()

    return Stream("application/x-ndjson", lines(), _refusal)


def _refusal(error: ApiError) -> Reply:
    return json_reply({"error": error.message}, error.status, content_type=JSON)


def now() -> str:
    """Return the present time as Ollama writes it."""
    return timestamp(datetime.now(UTC))


def timestamp(moment: datetime) -> str:
    """Return a time in RFC 3339, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _encode(text: str) -> bytes:
    # A client's own text may hold half of a surrogate pair, which JSON can write and UTF-8 cannot.
    return text.encode(errors="replace")


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
