"""The public face of the provider."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from types import TracebackType

from tierwise.testing.provider.catalog import Catalog, Embedder, ModelCard
from tierwise.testing.provider.records import RecordedCall, Recorder
from tierwise.testing.provider.routes import Routes
from tierwise.testing.provider.script import Reply, ReplyFunction, Script
from tierwise.testing.provider.server import HOST, Server

__all__ = ["LoopbackProvider"]

PATIENCE = 60.0
"""Seconds."""


class LoopbackProvider:
    """A model provider on 127.0.0.1 that answers, and misbehaves, as scripted.

    It speaks Ollama's dialect and OpenAI's from the same script, over real HTTP on an ephemeral port, and counts what
    reached it. A model without a script answers the dialect's own 404. All methods are thread-safe.

    A reply function that raises answers 500, and the error is raised when the `with` block ends.

    Args:
        version: What `/api/version` answers.
    """

    def __init__(self, *, version: str = "0.33.0") -> None:
        self._catalog = Catalog()
        self._routes = Routes(self._catalog, version)
        self._recorder = Recorder()
        self._errors: list[BaseException] = []
        self._server: Server | None = None

    def __enter__(self) -> LoopbackProvider:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if error is None and self._errors:
            raise self._errors[0]

    def start(self) -> None:
        """Bind an ephemeral port and serve it from a thread.

        Raises:
            RuntimeError: If it is running already.
        """
        if self._server is not None:
            raise RuntimeError("the provider is already running")
        self._server = Server(self._routes, self._recorder, self._errors)
        self._server.open()

    def stop(self) -> None:
        """Stop serving, end every call in flight and join all threads. Does nothing if not running."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def url(self) -> str:
        """The root of the Ollama dialect."""
        return f"http://{HOST}:{self._running.port}"

    @property
    def openai_url(self) -> str:
        """The base URL of the OpenAI dialect."""
        return f"{self.url}/v1"

    def on(self, model: str, *replies: Reply | ReplyFunction, default: Reply | ReplyFunction | None = None) -> None:
        """Script a model, in place of its earlier script.

        Args:
            model: The model's name. `name:latest` is the same model as `name`; `*` is every model without a script.
            replies: The replies in order; a function gets the request and returns the reply. The last one repeats.
            default: What repeats instead, once the replies are used up.
        """
        self._routes.models[model] = Script(replies, default)
        if self._catalog.own(model) is None:
            self._catalog.put(ModelCard(name=model))

    def on_path(self, path: str, *replies: Reply | ReplyFunction, default: Reply | ReplyFunction | None = None) -> None:
        """Script a path, for all models.

        On a chat path the replies stand in place of the models' own. On any other path (`/api/tags`, `/api/embed`,
        `/v1/models` and so on) their status, headers and faults apply, and the body stays the usual one.
        """
        self._routes.paths[path] = Script(replies, default)

    def describe(
        self,
        model: str,
        *,
        capabilities: Sequence[str] = ("completion", "tools", "thinking"),
        context_length: int = 8192,
        embedding_length: int = 16,
        parameters: int = 135_000_000,
        pulled: bool = True,
        pull_error: str | None = None,
    ) -> None:
        """Say what a model is; `on` alone gives these defaults.

        Args:
            model: The model's name.
            capabilities: As `/api/show` lists them. The Ollama dialect answers 400 to tools or thinking not listed.
            context_length: The trained context window in tokens.
            embedding_length: The dimensions of its embeddings.
            parameters: The number of weights.
            pulled: `False` answers 404 until the model is pulled.
            pull_error: Makes pulling fail with this message.
        """
        self._catalog.put(
            ModelCard(
                name=model,
                capabilities=tuple(capabilities),
                context_length=context_length,
                embedding_length=embedding_length,
                parameters=parameters,
                pulled=pulled,
                pull_error=pull_error,
            )
        )

    def embed_with(self, model: str, embedder: Embedder) -> None:
        """Embed texts for a model with a function; the default hashes words into a unit vector."""
        if self._catalog.known(model) is None:
            self.describe(model)
        self._catalog.embed_with(model, embedder)

    @contextlib.contextmanager
    def refusing(self) -> Generator[None]:
        """Refuse new connections within the block, as a server that is down does; the port stays the same.

        Idle connections are closed. Calls in flight go on. Nothing that is refused is recorded.
        """
        self._running.refuse()
        try:
            yield
        finally:
            self._running.accept()

    @property
    def calls(self) -> list[RecordedCall]:
        """What was asked of models (chats and embeddings), in the order of arrival."""
        return self._recorder.rows()

    @property
    def probes(self) -> list[RecordedCall]:
        """What was asked of the server itself: version, model lists, pulls, loading and unloading."""
        return self._recorder.rows(probes=True)

    def count(self, model: str | None = None) -> int:
        """Count the calls of a model, or all calls."""
        return sum(model in {None, call.model} for call in self.calls)

    @property
    def open_calls(self) -> int:
        """How many calls are in flight."""
        return self._recorder.open_calls

    @property
    def peak_open_calls(self) -> int:
        """The most calls that were in flight at once."""
        return self._recorder.peak_open_calls

    def reset(self, *, scripts: bool = False) -> None:
        """Forget the recorded calls, and with `scripts` also every script and model."""
        self._recorder.clear()
        if scripts:
            self._routes.models.clear()
            self._routes.paths.clear()
            self._catalog.clear()

    def wait_idle(self, timeout: float = PATIENCE) -> None:
        """Wait until no call is in flight.

        Args:
            timeout: Seconds to wait; by default a minute, for the machine may be busy with anything.

        Raises:
            TimeoutError: If calls are still in flight; the message names them.
        """
        if not self._recorder.wait_until(lambda: self.open_calls == 0, timeout):
            names = [call.model for call in self.calls if call.ended is None]
            raise TimeoutError(f"calls still in flight after {timeout:g} s: {names!r}")

    def wait_until(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Wait until a condition on the records holds; it is checked at every change of them.

        Args:
            condition: For example `lambda: provider.open_calls == 3`.
            timeout: Seconds to wait; by default a minute, for the machine may be busy with anything.

        Raises:
            TimeoutError: If it does not hold in time.
        """
        if not self._recorder.wait_until(condition, timeout):
            raise TimeoutError(f"the condition did not hold within {timeout:g} s; calls: {self.calls!r}")

    @property
    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the provider is not running; use it as a context manager or call start()")
        return self._server
