"""How long a call may wait, and for what."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from tierwise.errors import CallTimeoutError, UnknownNameError
from tierwise.figures import check_figure

__all__ = ["Patience", "Phase", "Timeouts"]

Phase: TypeAlias = Literal["connect", "first_token", "idle", "inquiry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds that a call may wait, by what it waits for; `None` waits without limit.

    A task's deadline bounds all of them together.

    Raises:
        ConfigError: One is zero or less.
    """

    connect: float | None = 5.0
    """For a connection."""
    first_token: float | None = 300.0
    """For the first token: loading the model, the server's queue and reading the prompt lie before it."""
    idle: float | None = 60.0
    """Between two tokens."""
    inquiry: float | None = 30.0
    """For an answer about the server or a model, which needs no model to run."""

    @classmethod
    def of(cls, value: Timeouts | Mapping[str, float | None] | None) -> Timeouts:
        """Accepts timeouts, or some of them by name, as a settings file has them.

        Raises:
            UnknownNameError: There is no such timeout.
        """
        if isinstance(value, Timeouts):
            return value
        known = [field.name for field in fields(cls)]
        for name in value or ():
            if name not in known:
                raise UnknownNameError("timeout", name, known)
        return cls(**(value or {}))

    def __post_init__(self) -> None:
        for field in fields(self):
            check_figure(field.name, getattr(self, field.name), none=True, owner="timeouts")


class Patience:
    """What is left of one call's time.

    Args:
        timeouts: The limits by phase.
        total: Seconds that the whole call may take; `None` for no limit.
        url: The server, for messages.
        clock: Monotonic seconds.
    """

    def __init__(
        self, timeouts: Timeouts, total: float | None, url: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.timeouts = timeouts
        self._total = total
        self._url = url
        self._clock = clock
        self._ends = None if total is None else clock() + total

    @asynccontextmanager
    async def wait(self, phase: Phase) -> AsyncGenerator[None]:
        """Bounds what is awaited inside.

        Raises:
            CallTimeoutError: It took too long; the message says which limit was met.
        """
        import asyncio

        limit = getattr(self.timeouts, phase)
        left = None if self._ends is None else self._ends - self._clock()
        bound = min((s for s in (limit, left) if s is not None), default=None)
        try:
            async with asyncio.timeout(bound):
                yield
        except TimeoutError:
            if left is not None and bound == left:
                raise CallTimeoutError(
                    f"Ollama at {self._url}: the {self._total:g} s for this call are over", phase="total"
                ) from None
            raise CallTimeoutError(
                f"Ollama at {self._url}: waited {limit:g} s ({phase}) in vain; Timeouts({phase}=...) sets the limit",
                phase=phase,
            ) from None
