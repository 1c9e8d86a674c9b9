"""The backend: attempts become calls of `/api/chat`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing
from dataclasses import replace
from typing import Any, Literal, cast

from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends.base import Backend
from tierwise.backends.local import is_cloud, is_loopback
from tierwise.backends.secrets import fingerprint
from tierwise.errors import BadResponseError, ConfigError, ModelNotFoundError, TrustError
from tierwise.figures import check_figure
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE, Price
from tierwise.task import Trust

from tierwise_ollama import faults, threads, window
from tierwise_ollama.catalog import Catalog, InstalledModel
from tierwise_ollama.facts import ModelFacts
from tierwise_ollama.hosts import base_url
from tierwise_ollama.http import Http
from tierwise_ollama.prepared import Prepared
from tierwise_ollama.pull import OnProgress, pull
from tierwise_ollama.request import KeepAlive, chat_body, check_keep_alive, fixed_num_ctx, schema_of
from tierwise_ollama.response import Reader, collected
from tierwise_ollama.timeouts import Patience, Timeouts

__all__ = ["OllamaBackend"]


class OllamaBackend(Backend):
    """Calls the models of one Ollama server.

    It holds no connection, so that one object serves every thread and every event loop, and has nothing to close. Each
    call is streamed from the server, also where the caller waits for its end: every limit of time is kept, and leaving
    a call closes its connection at once, which makes the server stop.

    Args:
        host: The server's address; `OLLAMA_HOST`, else this machine's usual one, if not given.
        timeouts: How long a call may wait, and for what. A task's deadline bounds all of it.
        keep_alive: How long the server keeps a model loaded: seconds, or a duration such as `10m`. A model's own
            `options={"keep_alive": ...}` goes before it; the server's setting holds if neither is given.
        num_ctx: The context, in tokens, of models that have no `num_ctx` of their own. If not given, the smallest power
            of two that holds the request and its answer, at least 4096 and at most what the model was trained for.
        pull: `missing` pulls a model that the server does not have; `never` raises instead.
        on_progress: Takes the progress of such a pull.

    Raises:
        ConfigError: A setting has a value that it cannot have.
    """

    def __init__(
        self,
        host: str | None = None,
        *,
        timeouts: Timeouts | Mapping[str, float | None] | None = None,
        keep_alive: KeepAlive = None,
        num_ctx: int | None = None,
        pull: Literal["never", "missing"] = "never",
        on_progress: OnProgress | None = None,
    ) -> None:
        if pull not in ("never", "missing"):
            raise ConfigError(f"pull={pull!r} must be 'never' or 'missing'", setting="pull", value=pull)
        check_figure("num_ctx", num_ctx, whole=True, none=True)
        self.url = base_url(host)
        self._timeouts = Timeouts.of(timeouts)
        self._keep_alive = check_keep_alive(keep_alive)
        self._num_ctx = num_ctx
        self._pulls = pull == "missing"
        self._on_progress = on_progress
        self._http = Http(self.url)
        self._catalog = Catalog(self._http)
        self._windows = window.WindowSizes()

    def call(self, attempt: Attempt) -> Outcome:
        """Makes a call and waits for its end.

        Raises:
            BackendError: The call failed: `ModelNotFoundError`, `ServerBusyError`, `UnavailableError`,
                `ContextOverflowError`, `InvalidRequestError`, `BadResponseError` or `CallTimeoutError`.
            TrustError: The model was taken for a local one, and Ollama's cloud runs it.
            ConfigError: The task's schema or a setting of the model is wrong.
        """
        return threads.run(self.acall, attempt)

    async def acall(self, attempt: Attempt) -> Outcome:
        """The async twin of `call`."""
        async with aclosing(self._chunks(attempt)) as chunks:
            return collected(attempt, [chunk async for chunk in chunks])

    def open(self, attempt: Attempt) -> AbstractContextManager[Iterator[Chunk]]:
        """Opens a streamed call; leaving the context closes it at the server. Raises as `call` does."""
        return threads.opened(self.aopen(attempt))

    def aopen(self, attempt: Attempt) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """The async twin of `open`."""
        return aclosing(self._chunks(attempt))

    def trust(self, model: ModelSpec) -> Trust | None:
        """`local` if the server is on this machine and runs the model itself; not known otherwise. Asks nothing."""
        return "local" if is_loopback(self.url) and not self._is_cloud(model) else None

    def price(self, model: ModelSpec) -> Price | None:
        """Nothing, unless Ollama's cloud runs the model: that price is not known. Asks nothing."""
        return None if self._is_cloud(model) else FREE

    def server(self, model: ModelSpec) -> str | None:
        """See `Backend`."""
        return self.url

    def credential(self, model: ModelSpec) -> str | None:
        """See `Backend`. The key of `OLLAMA_API_KEY`, which the client reads anew for each request."""
        key = os.environ.get("OLLAMA_API_KEY")
        return fingerprint(key) if key else None

    def models(self) -> list[ModelSpec]:
        """The models that the server has, as entries for a fleet: see `installed`."""
        return [model.spec for model in self.installed()]

    async def amodels(self) -> list[ModelSpec]:
        """The async twin of `models`."""
        return [model.spec for model in await self.ainstalled()]

    def installed(self) -> tuple[InstalledModel, ...]:
        """The models that the server has, with what it says of them: capabilities, trained context, size.

        Raises:
            UnavailableError: No server answers.
        """
        return threads.run(self.ainstalled)

    async def ainstalled(self) -> tuple[InstalledModel, ...]:
        """The async twin of `installed`."""
        return await self._catalog.installed(self._patience(None))

    def version(self) -> str:
        """The server's version.

        Raises:
            UnavailableError: No server answers.
        """
        return threads.run(self.aversion)

    async def aversion(self) -> str:
        """The async twin of `version`."""
        return str((await self._http.ask("/api/version", None, self._patience(None))).get("version", ""))

    def pull(self, model: str) -> None:
        """Pulls a model, e.g. `qwen3:4b`; the backend's `on_progress` is told how far it has come.

        Raises:
            ModelNotFoundError: There is no such model.
            UnavailableError: The pull failed.
        """
        threads.run(self.apull, model)

    async def apull(self, model: str) -> None:
        """The async twin of `pull`."""
        await self._pull(model, self._patience(None))

    def embed(self, texts: Sequence[str], model: ModelSpec | str) -> list[list[float]]:
        """One vector for each text, in their order.

        Args:
            texts: What is to be embedded.
            model: The model, as an id (`ollama:nomic-embed-text`) or a spec.

        Raises:
            BackendError: The call failed; `ContextOverflowError` where a text is too long: none is cut.
        """
        return threads.run(self.aembed, texts, model)

    async def aembed(self, texts: Sequence[str], model: ModelSpec | str) -> list[list[float]]:
        """The async twin of `embed`."""
        if isinstance(texts, str):
            raise ConfigError(f"texts must be several strings, not one: use [{texts[:20]!r}]", setting="texts")
        if not texts:
            return []
        spec, patience = ModelSpec.of(model), self._patience(None)
        facts = await self._facts(spec, patience)
        longest = max(window.most_tokens({"messages": [{"content": text}]}) for text in texts)
        num_ctx = fixed_num_ctx(spec, self._num_ctx) or self._windows.fit(spec.name, longest, 0, facts.window)
        body: dict[str, Any] = {"model": spec.name, "input": list(texts), "truncate": False}
        body["options"] = {"num_ctx": num_ctx}
        if self._keep_alive is not None:
            body["keep_alive"] = self._keep_alive
        answer = await self._http.ask("/api/embed", body, patience, model=spec.name)
        vectors = cast("list[list[float]]", answer.get("embeddings") or [])
        if len(vectors) != len(texts):
            raise BadResponseError(f"Ollama at {self.url} gave no vector for each of {len(texts)} texts ({spec.name})")
        return vectors

    async def _chunks(self, attempt: Attempt) -> AsyncGenerator[Chunk]:
        patience = self._patience(attempt.timeout)
        prepared = await self._prepare(attempt, patience)
        try:
            async with aclosing(self._stream(prepared, patience)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except faults.OverflowReportedError as error:
            prepared = self._refitted(prepared, error)
        except ModelNotFoundError:
            self._catalog.forget()
            raise
        try:
            async with aclosing(self._stream(prepared, patience)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except faults.OverflowReportedError as error:
            raise prepared.overflow(error) from error

    async def _stream(self, call: Prepared, patience: Patience) -> AsyncGenerator[Chunk]:
        name = call.attempt.model.name
        reader = Reader(name)
        async with aclosing(self._http.lines("/api/chat", call.body, patience, model=name)) as lines:
            async for line in lines:
                chunk = reader.read(line)
                if reader.done:
                    call.check_count(chunk.usage)
                yield chunk
                if reader.done:
                    return
        raise faults.broken_off(self.url, name, "the stream ended without its last line")

    async def _prepare(self, attempt: Attempt, patience: Patience) -> Prepared:
        model = attempt.model
        schema = schema_of(attempt)
        facts = await self._facts(model, patience)
        server = await self._catalog.server(patience)
        body = chat_body(attempt, schema=schema, server=server, facts=facts, keep_alive=self._keep_alive)
        fixed = fixed_num_ctx(model, self._num_ctx)
        answer = attempt.setting("max_output_tokens")
        fitted = (
            self._windows.fit(model.name, window.most_tokens(body), answer, facts.window) if fixed is None else fixed
        )
        body["options"]["num_ctx"] = fitted
        prepared = Prepared(attempt, body, server, facts, fixed is None)
        prepared.check_size()
        return prepared

    def _refitted(self, call: Prepared, error: faults.OverflowReportedError) -> Prepared:
        """The call with a larger context, where the server's count shows that ours was too low, and one may be had."""
        # With a status the server refused before it read the prompt. Without, the stream broke: something was shown.
        if call.fitted and error.tokens is not None and error.status is not None:
            answer = call.attempt.setting("max_output_tokens")
            size = self._windows.fit(call.attempt.model.name, error.tokens, answer, call.facts.window)
            if size > call.num_ctx:
                return replace(call, body=call.body | {"options": call.body["options"] | {"num_ctx": size}})
        raise call.overflow(error) from error

    async def _facts(self, model: ModelSpec, patience: Patience) -> ModelFacts:
        try:
            facts = await self._catalog.model(model.name, patience)
        except ModelNotFoundError:
            self._catalog.forget()
            if not self._pulls:
                raise
            await self._pull(model.name, patience)
            facts = await self._catalog.model(model.name, patience)
        if facts.remote is not None and (model.trust == "local" or (model.price is not None and model.price == FREE)):
            raise TrustError(
                f"{model.id} is no local model: Ollama's cloud runs it ({facts.remote}); nothing was sent. "
                f"Say so in the fleet: ModelSpec({model.id!r}, trust='any', price=Price(...))"
            )
        return facts

    async def _pull(self, model: str, patience: Patience) -> None:
        await pull(self._http, model, patience, self._on_progress)
        self._catalog.forget()

    def _is_cloud(self, model: ModelSpec) -> bool:
        return is_cloud(model.name) or self._catalog.known_remote(model.name)

    def _patience(self, total: float | None) -> Patience:
        return Patience(self._timeouts, total, self.url)
