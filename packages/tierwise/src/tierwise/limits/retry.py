"""Another try of a call that failed for a passing reason, within bounds for the whole run."""

from __future__ import annotations

import threading
from dataclasses import KW_ONLY, dataclass

from tierwise.attempt import Outcome
from tierwise.errors import (
    BackendError,
    BadResponseError,
    CallTimeoutError,
    RateLimitError,
    ServerBusyError,
    UnavailableError,
)
from tierwise.figures import check_figure
from tierwise.ids import fraction

__all__ = ["Retries", "Retry"]

_FAILING = threading.Lock()
"""Calls of a batch may fail at the same moment, each in its thread. One lock serves all runs: it is held for a moment,
and only after a failure."""

_BEFORE_AN_ANSWER = ("", "connect", "first_token", "inquiry")
"""The waits of a call of which nothing had come."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Makes a call again that failed for a passing reason, after a pause; then the flow falls back.

    Passing are 5xx and 529, a wait for a connection or the first token that was too long, a connection that broke
    before anything was shown, and a 429 that names no time or a short one. A wrong request, a refused credential, a
    server that is not there and a call that a limit refused are not. Each try is a call of its own, with its row, its
    price and its reservations.

    The pause is random, up to a bound that doubles with each try ("full jitter": M. Brooker, Exponential Backoff And
    Jitter, AWS 2015); where the provider names a time, it comes on top of that.

    Raises:
        ConfigError: A figure is below zero or no number, or `total` or `each` is no whole one.
    """

    total: int = 3
    """The most tries that a run makes again, of all its calls together. What a model's own client repeats counts, as
    far as the client says how often it does."""
    _: KW_ONLY
    each: int = 1
    """The most times that one call is made again."""
    pause: float = 0.5
    """The longest pause before the first such try, in seconds."""
    longest: float = 5.0
    """The longest pause at all. Whoever asks for a longer one, or one past the deadline, is passed over at once."""

    def __post_init__(self) -> None:
        for setting in ("total", "each", "pause", "longest"):
            check_figure(setting, getattr(self, setting), zero=True, whole=setting in ("total", "each"))

    def of_run(self) -> Retries:
        """The retries of one run, none of which is made yet."""
        return Retries(self)


class Retries:
    """The retries of one run.

    Args:
        retry: What bounds them.
    """

    __slots__ = ("_left", "_retry")

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._left = retry.total

    def pause(self, outcome: Outcome, *, repeated: int, left: float | None) -> float | None:
        """Seconds to wait before the call is made again; `None` if it is not.

        Args:
            outcome: How the call ended.
            repeated: How often its client has repeated the request by itself.
            left: Seconds that are left of the deadline.
        """
        retry, error = self._retry, outcome.error
        if error is None or not _passes(error):
            return None
        with _FAILING:
            self._left -= repeated
            tries = outcome.attempt.retries + repeated
            pause = _pause(retry, error, tries, fraction(outcome.attempt.call_id))
            if tries >= retry.each or self._left < 1 or pause is None or (left is not None and pause >= left):
                return None
            self._left -= 1
            return pause


def _passes(error: BaseException) -> bool:
    match error:
        case CallTimeoutError():
            return error.phase in _BEFORE_AN_ANSWER
        case UnavailableError():
            return error.reached
        case ServerBusyError() | RateLimitError() | BadResponseError():
            return True
        case ConnectionRefusedError():
            return False
        case ConnectionError() | TimeoutError():
            return True
        case _:
            return False


def _pause(retry: Retry, error: BaseException, tries: int, share: float) -> float | None:
    """The pause before the next try; `None` if the provider asks for a longer one than is ever made."""
    asked = (error.retry_after if isinstance(error, BackendError) else None) or 0.0
    if asked > retry.longest:
        return None
    return asked + share * min(retry.pause * 2**tries, retry.longest)
