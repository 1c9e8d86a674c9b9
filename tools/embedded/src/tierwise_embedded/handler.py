"""Carries requests and answers over HTTP/1.1, and notices when a client goes."""

import selectors
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Protocol
from urllib.parse import unquote, urlsplit

from tierwise_embedded.engine import Cancellation
from tierwise_embedded.errors import ApiError, CancelledError, EngineError, WeightsError
from tierwise_embedded.hosts import is_local_host
from tierwise_embedded.responses import Reply, Request, Stream
from tierwise_embedded.routes import Router

__all__ = ["Handler", "HandlerServer"]

_MAX_BODY = 64 << 20
_WATCH_INTERVAL = 0.2


class HandlerServer(Protocol):
    """What a handler asks of its server."""

    router: Router

    def running(self, cancellation: Cancellation) -> None:
        """Take note of a request, so that closing the server ends it."""
        ...

    def ended(self, cancellation: Cancellation) -> None:
        """Forget a request."""
        ...


class Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    server: HandlerServer  # type: ignore[assignment] - the base class declares its own servers
    protocol_version = "HTTP/1.1"
    # A small answer is not held back for the acknowledgement of its headers.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer any method: the router knows which are allowed."""
        self._serve()

    do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = do_OPTIONS = do_GET  # noqa: N815 - names set by the base class

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log nothing: prompts are private, and tests are quiet."""

    def _serve(self) -> None:
        if not is_local_host(self.headers.get("Host")):
            self.close_connection = True
            return self._send(Reply(403, b"", None))
        try:
            body = self._body()
        except ApiError as error:
            self.close_connection = True
            return self._send(Reply(error.status, error.message.encode(), "text/plain"))
        path = unquote(urlsplit(self.path).path)
        cancellation = Cancellation()
        request = Request(self.command, path, body, cancellation)
        with self._watched(cancellation):
            try:
                self._respond(request)
            except (CancelledError, ConnectionError):
                self.close_connection = True
        return None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding"):
            raise ApiError(411, "a request body needs a Content-Length")
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal():
            raise ApiError(400, "bad Content-Length")
        if int(length) > _MAX_BODY:
            raise ApiError(413, "request body too large")
        return self.rfile.read(int(length))

    def _respond(self, request: Request) -> None:
        router = self.server.router
        response = router.answer(request)
        if isinstance(response, Reply):
            return self._send(response)
        try:
            first = next(response.pieces, b"")
        except ApiError as error:
            return self._send(response.on_error(error))
        except (EngineError, WeightsError) as error:
            return self._send(response.on_error(ApiError.of(error)))
        return self._stream(response, first)

    def _send(self, reply: Reply) -> None:
        self._head(reply.status, reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _stream(self, stream: Stream, first: bytes) -> None:
        try:
            self._head(200, stream.content_type)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._chunk(first)
            for piece in stream.pieces:
                self._chunk(piece)
            self.wfile.write(b"0\r\n\r\n")
        finally:
            stream.pieces.close()

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _head(self, status: int, content_type: str | None) -> None:
        self.send_response_only(status)
        self.send_header("Date", self.date_time_string())
        if content_type is not None:
            self.send_header("Content-Type", content_type)

    @contextmanager
    def _watched(self, cancellation: Cancellation) -> Generator[None]:
        """Cancel a request when its client's connection closes, whatever the request waits for."""
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(self.connection, done, cancellation), daemon=True)
        self.server.running(cancellation)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
            self.server.ended(cancellation)


def _watch(connection: socket.socket, done: threading.Event, cancellation: Cancellation) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        while not done.wait(_WATCH_INTERVAL):
            if selector.select(0) and _ended(connection):
                cancellation.cancel()
                return


def _ended(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True
