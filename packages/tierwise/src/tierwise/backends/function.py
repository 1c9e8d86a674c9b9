"""Plain functions as backends: a model that is not behind any provider, or a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeAlias, cast

from tierwise.attempt import Attempt, Outcome
from tierwise.backends.base import Backend
from tierwise.errors import BackendError, ConfigError
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Price
from tierwise.task import Trust

__all__ = ["FunctionBackend"]

Function: TypeAlias = Callable[[Attempt], Any]


class FunctionBackend(Backend):
    """Calls a function, sync or async, in place of a provider.

    Args:
        function: Takes the `Attempt`; gives a text or an `Outcome`.
        trust: Where content goes that is given to it; `any` unless said otherwise.
        price: What it costs; unknown unless said otherwise.
        failures: The errors on which a flow may fall back; others are defects and propagate.
    """

    def __init__(
        self,
        function: Function,
        *,
        trust: Trust | None = None,
        price: Price | None = None,
        failures: tuple[type[Exception], ...] = (BackendError, OSError, TimeoutError),
    ) -> None:
        self._function = function
        self._is_async = inspect.iscoroutinefunction(function)
        self._trust: Trust | None = trust
        self._price = price
        self._failures = failures

    def call(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        if not self._is_async:
            return self._outcome(attempt, self._function(attempt))
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        # A loop of its own in a thread of its own: the caller may be inside a running loop (a notebook).
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(copy_context().run, asyncio.run, self.acall(attempt)).result()

    async def acall(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        if not self._is_async:
            import asyncio

            return await asyncio.to_thread(self.call, attempt)
        return self._outcome(attempt, await self._function(attempt))

    def is_failure(self, error: Exception) -> bool:
        """See `Backend`."""
        return isinstance(error, self._failures)

    def trust(self, model: ModelSpec) -> Trust | None:
        """See `Backend`."""
        return self._trust

    def price(self, model: ModelSpec) -> Price | None:
        """See `Backend`."""
        return self._price

    def _outcome(self, attempt: Attempt, answer: Any) -> Outcome:
        if isinstance(answer, Outcome):
            return answer
        if isinstance(answer, str):
            return Outcome(attempt, text=answer)
        name = getattr(self._function, "__name__", repr(self._function))
        raise ConfigError(
            f"{name} must give a text or an Outcome, not {cast('object', answer)!r}", setting="backends", value=answer
        )
