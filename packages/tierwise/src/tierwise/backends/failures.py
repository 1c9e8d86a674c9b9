"""Errors of providers' own clients as ours: a framework's model object raises what its client raises.

The clients are not imported: their errors are told by the HTTP status they carry, or by the names of their classes,
which the clients of most vendors share.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

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

__all__ = ["failure_of", "provider_failures"]

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
    "APIConnectionError": UnavailableError,
    "TransportError": UnavailableError,
    "OSError": UnavailableError,
    "APIError": BadResponseError,
    "ModelAPIError": BadResponseError,
    "ResponseError": BadResponseError,
    "JSONDecodeError": BadResponseError,
    "ValidationError": BadResponseError,
}

_OVERFLOW = ("context_length_exceeded", "context length", "context window", "ContextOverflow", "ContextLengthExceeded")


@contextmanager
def provider_failures(*bad_response: type[Exception]) -> Generator[None]:
    """Raises the errors of providers' clients as `BackendError`s; what is none of theirs propagates as it is.

    Args:
        *bad_response: Further errors by which the caller's client says that an answer cannot be read.
    """
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        failure = failure_of(error)
        if failure is None and isinstance(error, bad_response):
            failure = BadResponseError(str(error))
        if failure is None:
            raise
        raise failure from error


def failure_of(error: Exception) -> BackendError | None:
    """The failure that a client's error stands for; `None` if it is not known as a provider's."""
    known: Any = error
    status = getattr(known, "status_code", None)
    text = str(error) or type(error).__name__
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(status, int) and status >= 400:
        return _kind(status, text, names)(text, status=status, retry_after=_retry_after(known))
    kind = next((kind for name, kind in _BY_NAME.items() if name in names), None)
    return kind(text) if kind is not None else None


def _kind(status: int, text: str, names: set[str]) -> type[BackendError]:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return UnavailableError
    if any(sign in text or any(sign in name for name in names) for sign in _OVERFLOW):
        return ContextOverflowError
    return InvalidRequestError


def _retry_after(error: Any) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    if not isinstance(headers, Mapping):
        return None
    known = cast("Mapping[str, str]", headers)
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return float(known[name]) / scale
        except (KeyError, ValueError):
            continue
    return None
