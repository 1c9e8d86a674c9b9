"""The server: a loopback listener that starts and stops with a `with` statement."""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterable
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tierwise_embedded.engine import Cancellation, Engine, EngineSettings, Loader, load_engine
from tierwise_embedded.handler import Handler
from tierwise_embedded.library import Library
from tierwise_embedded.management import Fetcher
from tierwise_embedded.models import DEFAULT_MODELS, MODELS, EmbeddedModel, resolve_name
from tierwise_embedded.provision import fetch_weights, provision
from tierwise_embedded.routes import Router
from tierwise_embedded.scheduler import Scheduler
from tierwise_embedded.weights import verified

__all__ = ["EmbeddedServer", "select_models"]

_STOP_SECONDS = 10.0


class EmbeddedServer:
    """Serves embedded models on 127.0.0.1 in Ollama's API, from a thread of this process.

    Entering it fetches the weights that are missing and starts to listen; leaving it stops every generation and
    unloads the models. `spawn` does the same in a process of its own, which most uses prefer.

    Args:
        models: Names of the models to offer; the two smaller ones when none are named.
        port: The port to listen on; 0 lets the system choose.
        max_loaded: How many models may be in memory at a time.
        max_queue: How many requests may wait for a model to be loaded.
        keep_alive: Seconds an idle model stays loaded, when a request does not say.
        loader: Loads a model; tests bring their own.
        fetcher: Puts a model's weights on this machine; tests bring their own.
    """

    def __init__(
        self,
        models: Iterable[str] | None = None,
        *,
        port: int = 0,
        max_loaded: int = 2,
        max_queue: int = 512,
        keep_alive: float = 300.0,
        loader: Loader | None = None,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._models = select_models(models)
        self._port = port
        self._loader = loader or _load_verified
        self._fetcher = fetcher
        self._max_loaded = max_loaded
        self._max_queue = max_queue
        self._keep_alive = keep_alive
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address to give to clients, without a path."""
        return f"http://127.0.0.1:{self._running.server_address[1]}"

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler of the running server."""
        return self._running.router.scheduler

    @property
    def _running(self) -> "_Listener":
        if self._listener is None:
            raise RuntimeError("the server is not running: enter it with a `with` statement")
        return self._listener

    def start(self) -> Self:
        """Fetch what is missing and start to listen."""
        provision(self._models, self._fetcher)
        scheduler = Scheduler(
            self._loader, max_loaded=self._max_loaded, max_queue=self._max_queue, keep_alive=self._keep_alive
        )
        library = Library(model.name for model in self._models)
        try:
            self._listener = _Listener(self._port, Router(library, scheduler, self._fetcher or fetch_weights))
        except OSError:
            scheduler.close()
            raise
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(0.05,), name="embedded-server", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening, end every generation and unload the models."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.shutdown()
        if self._thread is not None:
            self._thread.join()
        listener.cancel_all()
        listener.router.scheduler.close()
        listener.disconnect_all()
        listener.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, router: Router) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.router = router
        self._lock = threading.Lock()
        self._requests: set[Cancellation] = set()
        self._connections: set[socket.socket] = set()
        self._handler_threads: set[threading.Thread] = set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is no fault of the server's, and nothing to print.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._handler_threads.add(threading.current_thread())
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._handler_threads.discard(threading.current_thread())

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def disconnect_all(self) -> None:
        """End the connections that clients keep open between requests, and wait for their threads."""
        with self._lock:
            threads = list(self._handler_threads)
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(_STOP_SECONDS)

    def running(self, cancellation: Cancellation) -> None:
        with self._lock:
            self._requests.add(cancellation)

    def ended(self, cancellation: Cancellation) -> None:
        with self._lock:
            self._requests.discard(cancellation)

    def cancel_all(self) -> None:
        """End every request that runs or waits."""
        with self._lock:
            requests = list(self._requests)
        for cancellation in requests:
            cancellation.cancel()


def select_models(names: Iterable[str] | None) -> list[EmbeddedModel]:
    """Return catalogue entries by name; the default ones for `None`.

    Raises:
        ValueError: For a name that is not in the catalogue.
    """
    wanted = [resolve_name(name) for name in (DEFAULT_MODELS if names is None else names)]
    unknown = [name for name in wanted if name not in MODELS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} cannot be embedded; these can: {', '.join(MODELS)}")
    return [MODELS[name] for name in wanted]


def _load_verified(model: EmbeddedModel, settings: EngineSettings) -> Engine:
    return load_engine(verified(model), model, settings)
