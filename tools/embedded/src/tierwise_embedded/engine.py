"""One loaded model: llama.cpp's own server on a loopback port, driven over HTTP.

The engine's listener is used rather than its Python calls: it streams without holding the interpreter, and a closed
connection stops a generation, even in the middle of a prompt.
"""

import http.client
import importlib
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from tierwise_embedded.errors import CancelledError, EngineError
from tierwise_embedded.models import EmbeddedModel

__all__ = ["Cancellation", "Engine", "EngineSettings", "Loader", "LlamaEngine", "load_engine"]

Json = dict[str, Any]

_loading = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What a model is loaded with: a change of either reloads it."""

    num_ctx: int
    embedding: bool = False


class Cancellation:
    """Tells a generation that its client is gone, from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether the client is gone."""
        return self._cancelled

    def cancel(self) -> None:
        """End what is running, and everything that is attached later."""
        with self._lock:
            self._cancelled = True
            if self._socket is not None:
                _shut(self._socket)

    def attach(self, connection: socket.socket | None) -> None:
        """Name the engine's connection to shut when the client goes; `None` when there is none any more."""
        with self._lock:
            self._socket = connection
            if self._cancelled and connection is not None:
                _shut(connection)


class Engine(Protocol):
    """A loaded model."""

    def render(self, messages: Sequence[Json], tools: Sequence[Json]) -> str:
        """Render messages in OpenAI's shape with the model's chat template."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a rendered prompt."""
        ...

    def complete(self, request: Json, cancellation: Cancellation) -> Iterator[Json]:
        """Generate: llama.cpp's `/completion` request, and its events until the one with `stop`."""
        ...

    def embed(self, prompts: Sequence[list[int]], cancellation: Cancellation) -> list[list[float]]:
        """Return one unit vector for each tokenized input."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


Loader = Callable[[EmbeddedModel, EngineSettings], Engine]
"""Loads a model: a test may bring its own."""


class LlamaEngine:
    """A model loaded by `xllamacpp`, with one thread and one slot."""

    def __init__(self, path: Path, settings: EngineSettings, *, chat_template: str | None = None) -> None:
        llama = _import_llama()
        parameters = llama.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx = settings.num_ctx
        parameters.n_parallel = 1
        parameters.ctx_shift = True
        # A second thread that spins starves a busy machine: one that sleeps is several times faster there.
        for processor in (parameters.cpuparams, parameters.cpuparams_batch):
            processor.n_threads = 1
            processor.poll = 0
        parameters.n_threads_http = 4
        parameters.cache_ram_mib = 0
        parameters.fit_params = False
        parameters.verbosity = -1
        parameters.ui = False
        if chat_template is not None:
            parameters.chat_template = chat_template
        if settings.embedding:
            parameters.embedding = True
            parameters.pooling_type = llama.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
            # Pooling needs an input in one piece.
            parameters.n_batch = parameters.n_ubatch = settings.num_ctx
        # The port is open to every program of this machine, browsers included.
        self._key = secrets.token_hex(16)
        parameters.api_keys = [self._key]
        try:
            # llama.cpp sets up its backends at the first load: two at once would race.
            with _loading:
                self._server: Any = llama.Server(parameters)
        except RuntimeError as error:
            raise EngineError(f"the engine cannot load {path.name!r}: {error}") from error
        self._address: str = self._server.listening_address

    def render(self, messages: Sequence[Json], tools: Sequence[Json]) -> str:
        """Render messages in OpenAI's shape with the model's chat template."""
        request: Json = {"messages": list(messages)}
        if tools:
            request["tools"] = list(tools)
        return str(self._post("/apply-template", request)["prompt"])

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of a rendered prompt."""
        return self._post("/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]

    def complete(self, request: Json, cancellation: Cancellation) -> Iterator[Json]:
        """Generate: llama.cpp's `/completion` request, and its events until the one with `stop`."""
        connection = self._open("/completion", {**request, "stream": True}, cancellation)
        try:
            for event in _events(_response(connection)):
                if "error" in event:
                    raise _engine_error(json.dumps(event), 500)
                yield event
                if event.get("stop"):
                    return
            raise EngineError("the engine ended a generation without a last event")
        except (OSError, http.client.HTTPException, ValueError, EngineError) as error:
            if cancellation.cancelled:
                raise CancelledError("the client is gone") from error
            raise
        finally:
            cancellation.attach(None)
            connection.close()

    def embed(self, prompts: Sequence[list[int]], cancellation: Cancellation) -> list[list[float]]:
        """Return one unit vector for each tokenized input."""
        answer = self._post("/v1/embeddings", {"input": list(prompts)}, cancellation)
        return [item["embedding"] for item in sorted(answer["data"], key=lambda item: item["index"])]

    def busy(self) -> bool:
        """Tell whether the engine is working on a request."""
        connection = self._open("/slots", None, Cancellation())
        try:
            return any(slot["is_processing"] for slot in json.loads(_response(connection).read()))
        finally:
            connection.close()

    def close(self) -> None:
        """Free the model's memory."""
        # The engine stops its threads and frees its memory when its last reference goes.
        self._server = None

    def _post(self, path: str, request: Json, cancellation: Cancellation | None = None) -> Json:
        cancellation = cancellation or Cancellation()
        connection = self._open(path, request, cancellation)
        try:
            return json.loads(_response(connection).read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            if cancellation.cancelled:
                raise CancelledError("the client is gone") from error
            raise
        finally:
            cancellation.attach(None)
            connection.close()

    def _open(self, path: str, request: Json | None, cancellation: Cancellation) -> http.client.HTTPConnection:
        target = urlsplit(self._address)
        connection = http.client.HTTPConnection(target.hostname or "127.0.0.1", target.port)
        body = None if request is None else json.dumps(request)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        connection.request("GET" if body is None else "POST", path, body, headers)
        cancellation.attach(connection.sock)
        return connection


def load_engine(path: Path, model: EmbeddedModel, settings: EngineSettings) -> LlamaEngine:
    """Load a verified file."""
    return LlamaEngine(path, settings, chat_template=model.chat_template)


def _import_llama() -> Any:
    try:
        return importlib.import_module("xllamacpp")
    except ModuleNotFoundError as error:
        raise EngineError('the engine is not installed: pip install "xllamacpp>=2026.10"') from error


def _response(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    response = connection.getresponse()
    if response.status != 200:
        raise _engine_error(response.read().decode(), response.status)
    return response


def _events(response: http.client.HTTPResponse) -> Iterator[Json]:
    while line := response.readline():
        kind, _, data = line.decode().partition(":")
        if kind in ("data", "error") and data.strip() != "[DONE]":
            yield json.loads(data)


def _engine_error(body: str, status: int) -> EngineError:
    try:
        message = json.loads(body)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = body
    return EngineError(str(message), status=status, body=body)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
