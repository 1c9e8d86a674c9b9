"""LiteLLM's errors as ours: told by what caused them, since LiteLLM gives every error a status."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tierwise.backends.failures import failure_kind, retry_after
from tierwise.backends.secrets import without_secrets
from tierwise.errors import BackendError, BadResponseError, CallTimeoutError, UnavailableError

__all__ = ["failure", "timed_out"]

_LONGEST = 500
"""Characters of a provider's message that are kept."""

_PREFIX = re.compile(r"^(?:litellm\.)?[A-Za-z_]*(?:Error|Exception|Timeout)(?::| -)(?: |$)")
"""What LiteLLM puts before a provider's words, often several times."""

_NO_KEY = re.compile(r"^missing .{0,40}?(?:credentials|api key)", re.IGNORECASE)


def failure(error: Exception, model: str, options: Mapping[str, Any], *, streaming: bool) -> BackendError:
    """The failure that an error of LiteLLM's stands for.

    Args:
        error: What LiteLLM raised.
        model: The model's id, for the message.
        options: The call's options, whose credentials are cut out of the message.
        streaming: The error came out of a stream, which may have begun under HTTP 200.
    """
    causes = list(_causes(error))
    text = f"{model}: {_reason(error, options)}"
    replied = _reply(causes)
    if replied is None:
        return _without_reply(error, causes, text, streaming)
    status, headers = replied
    names = {kind.__name__ for cause in causes for kind in type(cause).__mro__}
    return failure_kind(status, text, names)(text, status=status, retry_after=retry_after(headers))


def timed_out(model: str, seconds: float, phase: str) -> CallTimeoutError:
    """The failure of a call that took too long."""
    what = "nothing more" if phase == "idle" else "no answer"
    return CallTimeoutError(f"{model}: {what} within {seconds:.3g} s ({phase})", phase=phase)


def _without_reply(error: Exception, causes: list[BaseException], text: str, streaming: bool) -> BackendError:
    import aiohttp
    import httpx
    import openai

    if _any(causes, httpx.TimeoutException, openai.APITimeoutError, TimeoutError):
        waiting = "idle" if streaming else "first_token"
        return CallTimeoutError(text, phase="connect" if _any(causes, httpx.ConnectTimeout) else waiting)
    if _any(causes, httpx.RemoteProtocolError, aiohttp.ClientPayloadError):
        return BadResponseError(text)
    if _any(causes, httpx.TransportError, OSError):
        # LiteLLM's transport calls a connection that was reset one that could not be made.
        reached = _any(causes, ConnectionResetError) or not _any(causes, httpx.ConnectError)
        return UnavailableError(text, reached=reached)
    refused = None if streaming else _refused(error, causes)
    return BadResponseError(text) if refused is None else failure_kind(refused, text)(text, status=refused)


def _refused(error: Exception, causes: list[BaseException]) -> int | None:
    """The status with which LiteLLM or a client refused to send the request; `None` if it was sent.

    The usual reasons are a missing key, for which not all clients give a status, and a setting that the provider does
    not have.
    """
    if any(_NO_KEY.match(str(cause)) for cause in causes):
        return 401
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and 400 <= status < 500 else None


def _reply(causes: list[BaseException]) -> tuple[int, Any] | None:
    """Status and headers of the provider's own error reply, if it sent one.

    LiteLLM's errors carry a status in any case, often one that it made up; the errors of the HTTP clients beneath it
    tell whether there was a reply.
    """
    import httpx
    import openai

    for cause in causes:
        made_up = type(cause).__module__.startswith("litellm.exceptions")
        if isinstance(cause, httpx.HTTPStatusError) or (isinstance(cause, openai.APIStatusError) and not made_up):
            return cause.response.status_code, cause.response.headers
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it, nearest first."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop(0)
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [getattr(cause, "original_exception", None), cause.__cause__, cause.__context__]


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _reason(error: Exception, options: Mapping[str, Any]) -> str:
    text = str(error).split(" Original exception:")[0].split("\nTraceback ")[0].strip()
    while match := _PREFIX.match(text):
        text = text[match.end() :]
    return without_secrets(text, options)[:_LONGEST] or type(error).__name__
