"""Errors of providers' own clients as ours: a framework's model object raises what its client raises.

The clients are not imported: their errors are told by the HTTP status they carry, or by the names of their classes,
which the clients of most vendors share.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import Any, cast

from tierwise.backends.secrets import without_secrets
from tierwise.errors import (
    AuthenticationError,
    BackendError,
    BadResponseError,
    CallTimeoutError,
    ContextOverflowError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    ServerBusyError,
    UnavailableError,
)

__all__ = ["failure_kind", "failure_of", "provider_failures", "retry_after"]

_BY_STATUS: Mapping[int, type[BackendError]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: ModelNotFoundError,
    408: CallTimeoutError,
    429: RateLimitError,
    503: ServerBusyError,
    529: ServerBusyError,
}

_BY_NAME: Mapping[str, type[BackendError]] = {
    # The order is that of the search: a timeout is a kind of connection error in most clients.
    "APITimeoutError": CallTimeoutError,
    "TimeoutException": CallTimeoutError,
    "TimeoutError": CallTimeoutError,
    "ModelTimeoutError": CallTimeoutError,
    "ModelRequestTimeout": CallTimeoutError,
    "APIConnectionError": UnavailableError,
    "ModelConnectionError": UnavailableError,
    "TransportError": UnavailableError,
    "OSError": UnavailableError,
    "APIError": BadResponseError,
    "ModelAPIError": BadResponseError,
    "ResponseError": BadResponseError,
    "JSONDecodeError": BadResponseError,
    "ValidationError": BadResponseError,
    # A typed answer that was cut off, or filtered: the client parses it, and has no status to show.
    "LengthFinishReasonError": BadResponseError,
    "ContentFilterFinishReasonError": BadResponseError,
}

_NO_CONNECTION = frozenset({"ConnectionRefusedError", "ConnectError", "ClientConnectorError"})
"""Some clients use one of these for a connection that was made, and then reset."""

_OVERFLOW = (
    "context_length_exceeded",
    "exceed_context_size",
    "context length",
    "context window",
    "prompt is too long",
    "ContextOverflow",
    "ContextLengthExceeded",
    "ContextWindowExceeded",
)


def provider_failures(*bad_response: type[Exception]) -> _Translated:
    """Raises, within it, the errors of providers' clients as `BackendError`s; what is none of theirs propagates.

    Args:
        *bad_response: Further errors by which the caller's client says that an answer cannot be read.
    """
    return _Translated(bad_response)


class _Translated:
    """A class, as it stands around each call: `contextmanager` takes three times as long."""

    __slots__ = ("_bad_response",)

    def __init__(self, bad_response: tuple[type[Exception], ...]) -> None:
        self._bad_response = bad_response

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, BackendError):
            return
        failure = failure_of(error)
        if failure is None and isinstance(error, self._bad_response):
            failure = BadResponseError(without_secrets(str(error)))
        if failure is not None:
            raise failure from error


def failure_of(error: Exception) -> BackendError | None:
    """The failure that a client's error stands for; `None` if it is not known as a provider's."""
    known: Any = error
    status = getattr(known, "status_code", None)
    text = without_secrets(str(error)) or type(error).__name__
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(status, int) and status >= 400:
        headers = getattr(getattr(known, "response", None), "headers", None)
        return failure_kind(status, text, names)(text, status=status, retry_after=retry_after(headers))
    kind = next((kind for name, kind in _BY_NAME.items() if name in names), None)
    if kind is UnavailableError:
        return UnavailableError(text, reached=_reached(error))
    return kind(text) if kind is not None else None


def _reached(error: BaseException | None) -> bool:
    """False if nobody took the connection, as the error or what led to it says."""
    seen: list[BaseException] = []
    names: set[str] = set()
    while error is not None and error not in seen:
        seen.append(error)
        names |= {kind.__name__ for kind in type(error).__mro__}
        error = error.__cause__ or error.__context__
    return names.isdisjoint(_NO_CONNECTION) or "ConnectionResetError" in names


def failure_kind(status: int, text: str, names: Collection[str] = ()) -> type[BackendError]:
    """The error that an HTTP status of 400 or more stands for.

    Args:
        status: The status.
        text: The provider's message, which tells a prompt that is too long from other wrong requests.
        names: The names of the classes of the client's error, which may tell the same.
    """
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return UnavailableError
    if any(sign in text or any(sign in name for name in names) for sign in _OVERFLOW):
        return ContextOverflowError
    return InvalidRequestError


def retry_after(headers: Any) -> float | None:
    """Seconds after which a provider asks to be tried again; `None` if its headers do not say.

    Reads `retry-after-ms`, and `retry-after` in seconds or as an HTTP date. A date that has passed is zero seconds;
    what is no finite number says nothing.

    Args:
        headers: A mapping of header names in lower case, or one that does not care about case.
    """
    if not isinstance(headers, Mapping):
        return None
    known = cast("Mapping[str, str]", headers)
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(known[name]) / scale
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return _until(known.get("retry-after", ""))


def _until(date: str) -> float | None:
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(date)
        left = when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):  # no date, or one beyond the calendar
        return None
    return max(0.0, left.total_seconds())
