"""The backend: an attempt becomes a call of LiteLLM, and what comes back an outcome."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Generator,
    Iterator,
    Mapping,
)
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
    closing,
    contextmanager,
)
from typing import Any, TypeVar

from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends import Backend, fingerprint
from tierwise.figures import check_figure
from tierwise.fleet import ModelSpec
from tierwise.task import Trust

from tierwise_litellm.answers import Assembly, outcome_of
from tierwise_litellm.failures import failure, timed_out
from tierwise_litellm.library import aload, load
from tierwise_litellm.providers import address_of, key_of, stays_here
from tierwise_litellm.request import arguments, check_options, client_timeout

__all__ = ["LiteLLMBackend"]

T = TypeVar("T")


class LiteLLMBackend(Backend):
    """Calls cloud providers, and servers that speak their dialects, through LiteLLM.

    `anthropic:claude-opus-4-7` is LiteLLM's `anthropic/claude-opus-4-7`. Credentials come from where LiteLLM looks for
    them (`ANTHROPIC_API_KEY` and so on) or from options. LiteLLM is imported at the first call.

    LiteLLM neither retries nor falls back here: one attempt is one request. Sampling settings, seeds and log
    probabilities that a model does not take are left out; tools, output caps, output schemas and options never are.

    Args:
        timeout: Seconds to wait for a connection, for an answer, or for the next piece of a stream. What is left of a
            task's deadline bounds it.
        providers: Options for the models of one provider, by the prefix of their ids: `{"openai": {"api_base": ...}}`.
        **completion_options: Options of `litellm.completion` for all models. Those of a provider replace them, and
            those of a model (`ModelSpec.options`) replace both.

    Raises:
        ConfigError: An option would take a decision out of the router's hands (retries, fallbacks), or the timeout is
            not above zero.
    """

    def __init__(
        self,
        *,
        timeout: float = 600.0,
        providers: Mapping[str, Mapping[str, Any]] | None = None,
        **completion_options: Any,
    ) -> None:
        check_figure("timeout", timeout)
        self._timeout = timeout
        self._providers = dict(providers or {})
        self._options = completion_options
        check_options(completion_options, "LiteLLMBackend")
        for name, options in self._providers.items():
            check_options(options, f"LiteLLMBackend: providers[{name!r}]")

    def call(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        library = load()
        options = self._options_of(attempt.model)
        request = arguments(library, attempt, options, stream=False)
        try:
            response = library.completion(**request, timeout=self._client_timeout(attempt))
        except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is a failure of the call
            raise failure(error, attempt.model.id, options, streaming=False) from None
        return outcome_of(attempt, response)

    async def acall(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        library = await aload()
        options = self._options_of(attempt.model)
        request = arguments(library, attempt, options, stream=False)
        patience = _Patience(self._timeout, attempt, options)
        response = await patience.wait(library.acompletion(**request, timeout=self._timeout), streaming=False)
        return outcome_of(attempt, response)

    def open(self, attempt: Attempt) -> AbstractContextManager[Iterator[Chunk]]:
        """See `Backend`."""
        return self._open(attempt)

    def aopen(self, attempt: Attempt) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """See `Backend`."""
        return self._aopen(attempt)

    def trust(self, model: ModelSpec) -> Trust | None:
        """`local` where the options name a model server on this machine; not known otherwise, which counts as `any`."""
        return "local" if stays_here(model, self._options_of(model)) else None

    def server(self, model: ModelSpec) -> str | None:
        """The address that the options give; not known where LiteLLM picks it."""
        return address_of(self._options_of(model))

    def credential(self, model: ModelSpec) -> str | None:
        """See `Backend`. The `api_key` of the options, or the key in the environment."""
        key = self._options_of(model).get("api_key") or key_of(model)
        return fingerprint(key) if isinstance(key, str) else None

    @contextmanager
    def _open(self, attempt: Attempt) -> Generator[Iterator[Chunk]]:
        library = load()
        options = self._options_of(attempt.model)
        request = arguments(library, attempt, options, stream=True)
        try:
            stream = library.completion(**request, timeout=self._client_timeout(attempt))
        except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is a failure of the call
            raise failure(error, attempt.model.id, options, streaming=False) from None
        try:
            with closing(_chunks(attempt, stream, options)) as chunks:
                yield chunks
        finally:
            _hang_up(stream)

    @asynccontextmanager
    async def _aopen(self, attempt: Attempt) -> AsyncGenerator[AsyncIterator[Chunk]]:
        library = await aload()
        options = self._options_of(attempt.model)
        request = arguments(library, attempt, options, stream=True)
        patience = _Patience(self._timeout, attempt, options)
        stream = await patience.wait(library.acompletion(**request, timeout=self._timeout), streaming=False)
        try:
            async with aclosing(_achunks(attempt, stream, patience)) as chunks:
                yield chunks
        finally:
            await stream.aclose()

    def _options_of(self, model: ModelSpec) -> dict[str, Any]:
        check_options(model.options, f"model {model.id!r}")
        return {**self._options, **self._providers.get(model.provider, {}), **model.options}

    def _client_timeout(self, attempt: Attempt) -> float:
        """Only the HTTP client can end a wait of a thread."""
        left = attempt.timeout
        return self._timeout if left is None or left >= self._timeout else client_timeout(left)


class _Patience:
    """Waits for LiteLLM within the call's time, and turns its errors into failures."""

    def __init__(self, timeout: float, attempt: Attempt, options: Mapping[str, Any]) -> None:
        import asyncio

        self._timeout = timeout
        self._model = attempt.model.id
        self._options = options
        self._clock = asyncio.get_running_loop().time
        self._ends = None if attempt.timeout is None else self._clock() + attempt.timeout

    async def wait(self, answer: Awaitable[T], *, streaming: bool) -> T:
        """The answer.

        Raises:
            BackendError: It does not come in time, or the call fails.
            StopAsyncIteration: A stream is at its end.
        """
        import asyncio

        limit, phase = self._timeout, "idle" if streaming else "first_token"
        left = limit if self._ends is None else self._ends - self._clock()
        if left < limit:
            limit, phase = left, "total"
        try:
            async with asyncio.timeout(limit):
                return await answer
        except StopAsyncIteration:
            raise
        except TimeoutError:
            raise timed_out(self._model, limit, phase) from None
        except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is a failure of the call
            raise failure(error, self._model, self._options, streaming=streaming) from None


def _chunks(attempt: Attempt, stream: Any, options: Mapping[str, Any]) -> Generator[Chunk]:
    assembly = Assembly(attempt)
    while True:
        try:
            raw = next(stream)
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001 - whatever LiteLLM raises is a failure of the call
            raise failure(error, attempt.model.id, options, streaming=True) from None
        chunk = assembly.feed(raw)
        if chunk is not None:
            yield chunk
    yield assembly.end(stream)


async def _achunks(attempt: Attempt, stream: Any, patience: _Patience) -> AsyncGenerator[Chunk]:
    assembly = Assembly(attempt)
    while True:
        try:
            raw = await patience.wait(anext(stream), streaming=True)
        except StopAsyncIteration:
            break
        chunk = assembly.feed(raw)
        if chunk is not None:
            yield chunk
    yield assembly.end(stream)


def _hang_up(stream: Any) -> None:
    """Closes the connection of a stream; LiteLLM's own has no way to in threads.

    What lies beneath it is the provider's SDK stream, or an iterator over the lines of an HTTP response.
    """
    source = stream.completion_stream
    for candidate in (source, getattr(source, "http_response", None), getattr(source, "streaming_response", None)):
        close = getattr(candidate, "close", None)
        if close is not None:
            close()
            return
