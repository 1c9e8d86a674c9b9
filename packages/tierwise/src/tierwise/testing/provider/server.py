"""The sockets and threads of the provider."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from tierwise.testing.provider.records import Recorder
from tierwise.testing.provider.routes import Routes
from tierwise.testing.provider.script import Reply
from tierwise.testing.provider.wire import Connection, Player

__all__ = ["HOST", "Handler", "Server"]

HOST = "127.0.0.1"


class Server(ThreadingMixIn, TCPServer):
    """A threading server that can be silenced, and stopped while its handlers wait."""

    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    request_queue_size = 256
    timeout = 0
    """Seconds that `handle_request` waits for a connection: it is asked when there is one."""

    def __init__(self, routes: Routes, recorder: Recorder, errors: list[BaseException]) -> None:
        super().__init__((HOST, 0), partial(Handler, self), bind_and_activate=False)
        self.routes = routes
        self.recorder = recorder
        self.errors = errors
        self.refusing = False
        self.stopping, self._stop = socket.socketpair()
        self._guard = threading.Lock()
        self._connections: dict[socket.socket, bool] = {}
        self._numbers = itertools.count(1)
        self._loop = threading.Thread()
        self._end: socket.socket | None = None
        """Ends the accept loop when it is closed."""

    @property
    def port(self) -> int:
        """The port, which stays the same while the server refuses connections."""
        return self.server_address[1]

    def open(self) -> None:
        """Bind the port and accept connections."""
        self.server_bind()
        self.accept()

    def accept(self) -> None:
        """Accept connections from a thread."""
        self.refusing = False
        self.server_activate()
        ending, self._end = socket.socketpair()
        self._loop = threading.Thread(target=self._accept_until, args=(ending,), name=f"loopback-provider-{self.port}")
        self._loop.start()

    def refuse(self) -> None:
        """Stop accepting. The port stays bound, so that connections are refused and nobody else takes it."""
        self.refusing = True
        self._end_loop()
        self.socket.close()
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.server_bind()
        self._hang_up(idle_only=True)

    def stop(self) -> None:
        """End every wait, hang up on all clients and join all threads."""
        self.refusing = True
        self._end_loop()
        self._stop.close()
        self._hang_up(idle_only=False)
        self.server_close()
        self.stopping.close()

    def number(self) -> int:
        """A new number, for ids that a client sees."""
        return next(self._numbers)

    def mark(self, connection: socket.socket, *, busy: bool) -> None:
        """Remember whether a connection has a request in flight."""
        with self._guard:
            if connection in self._connections:
                self._connections[connection] = busy

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        with self._guard:
            self._connections[request] = False
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._guard:
            self._connections.pop(request, None)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep an unexpected error for the end of the test; a client that is gone is none."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.errors.append(error)

    def _accept_until(self, ending: socket.socket) -> None:
        """Serves connections until the other end of a socket is closed, which is noticed at once."""
        with ending, selectors.DefaultSelector() as selector:
            for waited in (self.socket, ending):
                selector.register(waited, selectors.EVENT_READ)
            while ending not in {key.fileobj for key, _ in selector.select()}:
                self.handle_request()

    def _end_loop(self) -> None:
        if self._end is not None:
            self._end.close()
            self._loop.join()
            self._end = None

    def _hang_up(self, *, idle_only: bool) -> None:
        with self._guard:
            for connection, busy in self._connections.items():
                if not (busy and idle_only):
                    with contextlib.suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Reads requests from one connection and plays their answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, owner: Server, *args: Any) -> None:
        self._owner = owner
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer any request."""
        owner, connection = self._owner, Connection(self.connection, self._owner.stopping)
        owner.mark(self.connection, busy=True)
        try:
            reusable = self._answer(connection)
            self.close_connection = self.close_connection or not reusable or owner.refusing
        finally:
            owner.mark(self.connection, busy=False)
            connection.close()

    do_POST = do_HEAD = do_DELETE = do_PUT = do_GET  # noqa: N815 - the names http.server calls

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name http.server gives it
        """Write nothing: the records say it all."""

    def _answer(self, connection: Connection) -> bool:
        owner = self._owner
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request, problem = owner.routes.parse(self.path.partition("?")[0], headers, raw)
        key = owner.recorder.start(request, probe=owner.routes.is_probe(request))
        try:
            plan, reply = owner.routes.answer(self.command, request, problem, owner.number())
        except Exception as error:  # noqa: BLE001 - a reply function is the test's own code; its error is raised at the end
            owner.errors.append(error)
            reply = Reply(status=500, error=f"the reply function raised {error!r}")
            plan = owner.routes.failure(request, reply)
        if self.command == "HEAD":
            plan = plan.without_body()
        return Player(connection, owner.recorder, key, plan, reply).play()
