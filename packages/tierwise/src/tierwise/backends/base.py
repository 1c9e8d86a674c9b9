"""Make the call. A backend turns an `Attempt` into a call, and what comes back into an `Outcome`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, closing
from typing import Any

from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends.local import is_loopback
from tierwise.errors import BackendError
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Price
from tierwise.task import Trust

__all__ = ["Backend", "replay"]


class Backend(ABC):
    """Calls the models of one provider. `call` is all that has to be written; the rest follows, and may be improved."""

    @abstractmethod
    def call(self, attempt: Attempt) -> Outcome:
        """Makes a call and waits for its end.

        Raises:
            BackendError: The call failed, or whatever else `is_failure` knows.
        """

    async def acall(self, attempt: Attempt) -> Outcome:
        """The async twin of `call`; by default `call` in a thread."""
        import asyncio

        return await asyncio.to_thread(self.call, attempt)

    def open(self, attempt: Attempt) -> AbstractContextManager[Iterator[Chunk]]:
        """Opens a streamed call; leaving the context closes it at the provider. By default one chunk, at the end."""
        return closing(self._whole(attempt))

    def aopen(self, attempt: Attempt) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """The async twin of `open`."""
        return aclosing(self._awhole(attempt))

    def is_failure(self, error: Exception) -> bool:
        """True if a flow may answer the error with a fallback. All other errors propagate to the caller."""
        return isinstance(error, BackendError | OSError | TimeoutError)

    def rebuilt(self, outcome: Outcome) -> Any:
        """`outcome.raw` with the tool calls that were read out of its text; as it is by default."""
        return outcome.raw

    def trust(self, model: ModelSpec) -> Trust | None:
        """Where content goes that is sent to this model, where the user gave no label. Not known by default."""
        return None

    def price(self, model: ModelSpec) -> Price | None:
        """The model's price, where the user gave none. Not known by default."""
        return None

    def server(self, model: ModelSpec) -> str | None:
        """The URL of the server that is called for this model, for telemetry. Not known by default."""
        return None

    def credential(self, model: ModelSpec) -> str | None:
        """A fingerprint of the credential that the model is called with now: see `fingerprint`. Not known by default.

        It tells one credential from another, so that one that is refused closes no way but its own.
        """
        return None

    def client_retries(self, model: ModelSpec) -> int:
        """How often the client of this model repeats a failed request by itself; it does not, by default."""
        return 0

    def place(self, model: ModelSpec) -> str:
        """Where calls to the model go: the server's address, and this machine's name where they stay on it.

        Empty if the address is not known. The same address on another machine is another place.
        """
        server = self.server(model) or ""
        if self.trust(model) == "local" or (server and is_loopback(server)):
            import platform

            return f"{server} {platform.node()}"
        return server

    def _whole(self, attempt: Attempt) -> Generator[Chunk]:
        yield replay(self.call(attempt))

    async def _awhole(self, attempt: Attempt) -> AsyncGenerator[Chunk]:
        yield replay(await self.acall(attempt))


def replay(outcome: Outcome) -> Chunk:
    """A held answer as one chunk."""
    return Chunk(
        text=outcome.text,
        thinking=outcome.thinking,
        tool_calls=outcome.tool_calls,
        logprobs=outcome.logprobs or (),
        usage=outcome.usage,
        finish_reason=outcome.finish_reason,
        model=outcome.model,
        response_id=outcome.response_id,
        raw=outcome.raw,
        whole=outcome.raw,
    )
