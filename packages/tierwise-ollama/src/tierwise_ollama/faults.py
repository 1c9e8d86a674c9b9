"""What an error of the server means, in Tierwise's own words."""

from __future__ import annotations

import json
import re
from typing import Any, cast
from urllib.parse import urlsplit

from tierwise.backends.secrets import without_secrets
from tierwise.errors import (
    AuthenticationError,
    BackendError,
    BadResponseError,
    ContextOverflowError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    ServerBusyError,
    UnavailableError,
)

__all__ = ["OverflowReportedError", "StreamError", "absent", "broken_off", "from_line", "from_status", "pull_failed"]

_TOO_LONG = re.compile(
    r"exceed_context_size|exceeds? the (?:available |maximum )?context|longer than the context length"
)
_OUR_REQUEST = re.compile(r"^option \"|invalid format|^json: ")
"""Errors in the request itself that the server reports as 500."""
_SHOWN = 500
"""Characters of a server's own words that are passed on."""
_NO_MODEL = re.compile(r"not found|file does not exist")


class OverflowReportedError(ContextOverflowError):
    """The prompt does not fit, with the server's figures where it gave them.

    Attributes:
        tokens: Tokens of the prompt.
        num_ctx: Tokens of the context that the model ran with.
    """

    def __init__(
        self, message: str, *, status: int | None = None, tokens: int | None = None, num_ctx: int | None = None
    ) -> None:
        super().__init__(message, status=status)
        self.tokens = tokens
        self.num_ctx = num_ctx


class StreamError(BadResponseError):
    """A line of a stream, under HTTP 200, reports an error.

    Attributes:
        said: The server's own words.
    """

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


def absent(url: str, cause: Exception) -> UnavailableError:
    """No server answers."""
    return UnavailableError(
        f"no Ollama answers at {url} ({cause}): start it with `ollama serve` or the Ollama app, "
        "or name another server (host=..., OLLAMA_HOST)",
        reached=False,
    )


def broken_off(url: str, model: str, cause: Exception | str) -> BadResponseError:
    """An answer that did not come to its end."""
    return BadResponseError(f"Ollama at {url} broke off the answer of {model!r}: {cause}")


def from_status(url: str, model: str, status: int, body: bytes, *, retry_after: float | None = None) -> BackendError:
    """The error that an HTTP status other than 200 stands for."""
    text = without_secrets(_text(body))
    where = f"Ollama at {url}"
    if 300 <= status < 400:
        return BadResponseError(f"{where} redirects elsewhere ({status}); redirects are not followed", status=status)
    if status == 404 and model and "page not found" not in text:
        return ModelNotFoundError(f"{where} does not have {model!r}: `ollama pull {model}`", status=status)
    if status == 401:
        return AuthenticationError(f"{where}: {text or 'unauthorized'}: run `ollama signin` there", status=status)
    if status == 403:
        return AuthenticationError(_forbidden(url, where, text), status=status)
    if status == 429:
        return RateLimitError(f"{where}: {text or 'too many requests'}", status=status, retry_after=retry_after)
    if status in (503, 529):
        return ServerBusyError(f"{where}: {text or 'server busy'}", status=status, retry_after=retry_after)
    return _failed(where, model, status, text)


def _failed(where: str, model: str, status: int, text: str) -> BackendError:
    overflow = _overflow(where, model, text, status)
    if overflow is not None:
        return overflow
    message = f"{where}: {model}: {text[:_SHOWN] or 'no reason given'} (HTTP {status})"
    if status < 500 or _OUR_REQUEST.search(text):
        return InvalidRequestError(message, status=status)
    return UnavailableError(message, status=status)


def from_line(url: str, model: str, error: Any) -> BackendError:
    """The error that a line of a stream reports under HTTP 200."""
    said = without_secrets(str(error))[:_SHOWN]
    where = f"Ollama at {url}"
    return _overflow(where, model, said, None) or StreamError(
        f"{where} broke off the answer of {model!r}: {said}", said
    )


def pull_failed(url: str, model: str, error: Any) -> BackendError:
    """A pull that did not end in success."""
    said = without_secrets(str(error))
    kind = ModelNotFoundError if _NO_MODEL.search(said) else UnavailableError
    return kind(f"Ollama at {url} could not pull {model!r}: {said}")


def _overflow(where: str, model: str, text: str, status: int | None) -> OverflowReportedError | None:
    """The text may itself be JSON, with figures."""
    if not _TOO_LONG.search(text):
        return None
    try:
        inner: Any = json.loads(text)
        detail: dict[str, Any] = inner["error"]
        tokens, num_ctx = detail.get("n_prompt_tokens"), detail.get("n_ctx")
    except (ValueError, LookupError, TypeError, AttributeError):
        return OverflowReportedError(f"{where}: {model}: {text}", status=status)
    return OverflowReportedError(
        f"{where}: the prompt has {tokens} tokens and {model!r} runs with num_ctx={num_ctx}",
        status=status,
        tokens=tokens if isinstance(tokens, int) else None,
        num_ctx=num_ctx if isinstance(num_ctx, int) else None,
    )


def _forbidden(url: str, where: str, text: str) -> str:
    if text:
        return f"{where}: {text}"
    return (
        f"{where} refuses requests for the host name {urlsplit(url).hostname!r}: it was started for local names only; "
        "start it with OLLAMA_HOST=0.0.0.0, or have the proxy before it send `Host: localhost`"
    )


def _text(body: bytes) -> str:
    text = body.decode("utf-8", errors="replace").strip()
    try:
        value: Any = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict):
        value = cast("dict[str, Any]", value).get("error", cast("Any", value))
    return value if isinstance(value, str) else json.dumps(value)
