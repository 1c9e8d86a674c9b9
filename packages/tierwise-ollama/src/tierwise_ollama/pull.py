"""Pulling a model that the server does not have."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from tierwise.errors import BackendError

from tierwise_ollama import faults
from tierwise_ollama.http import Http
from tierwise_ollama.timeouts import Patience

__all__ = ["OnProgress", "PullProgress", "pull"]


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull has come."""

    model: str
    status: str
    """What the server is doing, in its own words; `success` is the last."""
    completed: int | None = None
    """Bytes of the present part that are there."""
    total: int | None = None
    """Bytes of the present part."""
    digest: str | None = None
    """The present part."""


OnProgress: TypeAlias = Callable[[PullProgress], None]


async def pull(http: Http, model: str, patience: Patience, on_progress: OnProgress | None) -> None:
    """Pulls a model and waits for its end.

    Raises:
        ModelNotFoundError: There is no such model.
        UnavailableError: The pull failed, or ended without success: failures come under HTTP 200.
    """
    status = ""
    try:
        # The server says nothing while it verifies a large file.
        answer = http.lines("/api/pull", {"model": model}, patience, model=model, pace="first_token")
        async with aclosing(answer) as lines:
            async for line in lines:
                status = str(line.get("status", ""))
                if on_progress is not None:
                    on_progress(
                        PullProgress(model, status, line.get("completed"), line.get("total"), line.get("digest"))
                    )
    except faults.StreamError as error:
        raise faults.pull_failed(http.url, model, error.said) from error
    except BackendError as error:
        if error.status is None or error.status < 500:
            raise
        raise faults.pull_failed(http.url, model, error) from error
    if status != "success":
        raise faults.pull_failed(http.url, model, f"it ended with {status or 'no word'!r}")
