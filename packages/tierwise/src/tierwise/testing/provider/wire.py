"""One client connection: writing answers, and noticing a client that hangs up."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from http import HTTPStatus

from tierwise.testing.provider.plan import Fault, Frame, Plan, Step, body_frames, steps
from tierwise.testing.provider.records import Recorder
from tierwise.testing.provider.script import Reply

__all__ = ["Connection", "Player", "Waited", "status_line"]

# An event cannot be selected on, so a gate is looked at this often (seconds).
_GATE_INTERVAL = 0.005


class Waited(Enum):
    """Why a wait ended."""

    READY = auto()
    CLIENT_CLOSED = auto()
    STOPPED = auto()


class Connection:
    """A client's socket, together with the socket that becomes readable when the server stops."""

    def __init__(self, client: socket.socket, stopping: socket.socket) -> None:
        self._client = client
        self._stopping = stopping
        self._selector = selectors.DefaultSelector()
        self._selector.register(client, selectors.EVENT_READ)
        self._selector.register(stopping, selectors.EVENT_READ)

    def send(self, data: bytes) -> None:
        """Write all bytes. Raises OSError if the client is gone."""
        self._client.sendall(data)

    def wait(self, seconds: float | None, gate: threading.Event | None = None) -> Waited:
        """Wait for a time (forever if `None`), or for a gate, unless the client or the server ends it."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            pause = None if deadline is None else max(0.0, deadline - time.monotonic())
            ended = self._poll(pause if gate is None else _GATE_INTERVAL)
            if ended is not Waited.READY:
                return ended
            if gate is not None and gate.is_set():
                return Waited.READY
            if deadline is not None and time.monotonic() >= deadline:
                return Waited.READY

    def reset(self) -> None:
        """Make the coming close drop the connection at once, which a client sees as a reset."""
        with contextlib.suppress(OSError):
            self._client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            )

    def close(self) -> None:
        """Free the selector; the socket belongs to the server."""
        self._selector.close()

    def _poll(self, pause: float | None) -> Waited:
        ready = {key.fileobj for key, _ in self._selector.select(pause)}
        if self._stopping in ready:
            return Waited.STOPPED
        return Waited.CLIENT_CLOSED if self._client in ready and self._at_end() else Waited.READY

    def _at_end(self) -> bool:
        try:
            if not self._client.recv(1, socket.MSG_PEEK):
                return True
        except OSError:
            return True
        # Bytes of a next request: they hide a later hang-up, and would wake every wait.
        self._selector.unregister(self._client)
        return False


class Player:
    """Plays one plan on one connection and records what happens."""

    def __init__(self, connection: Connection, recorder: Recorder, key: int, plan: Plan, reply: Reply) -> None:
        self._connection = connection
        self._recorder = recorder
        self._key = key
        self._plan = plan
        self._reply = reply
        self._head = b""

    def play(self) -> bool:
        """Play the plan. Returns whether the connection can serve another request."""
        try:
            return self._play()
        except OSError:
            self._recorder.end(self._key, client_closed=True)
            return False

    def _play(self) -> bool:
        reply = self._reply
        if reply.refuse:
            self._connection.reset()
            self._recorder.end(self._key)
            return False
        frames = body_frames(self._plan, reply)
        self._head = self._headers(frames)
        held = reply.stall or (reply.gate is not None and reply.stall_after is None)
        if held and not self._pause(None, reply.gate):
            return False
        if self._plan.streamed:
            self._send_head()
        return self._pause(reply.first_token_delay) and self._run(steps(frames, self._plan, reply))

    def _run(self, todo: Sequence[Step]) -> bool:
        for place, step in enumerate(todo):
            if step is Fault.DISCONNECT:
                self._recorder.end(self._key)
                return False
            stalled = step is Fault.STALL
            delay = self._reply.chunk_delay if place else 0.0
            if not (self._pause(None, self._reply.gate) if stalled else self._pause(delay)):
                return False
            if isinstance(step, Frame):
                self._send(step, last=place == len(todo) - 1)
        if not todo or not isinstance(todo[-1], Frame):
            self._send(Frame(b""), last=True)
        return True

    def _send(self, frame: Frame, *, last: bool) -> None:
        """Send a frame. Its cost and end are recorded first: a client never knows more than the records."""
        head, self._head = self._head, b""
        if head:
            self._recorder.answer(self._key, self._plan.status)
        self._recorder.bill(self._key, input_tokens=frame.input, output_tokens=frame.output)
        if last:
            self._recorder.end(self._key, completed=True)
        self._connection.send(head + self._framed(frame.data, last=last))

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        self._recorder.answer(self._key, self._plan.status)
        self._connection.send(head)

    def _framed(self, data: bytes, *, last: bool) -> bytes:
        if not self._plan.streamed:
            return data
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return chunk + (b"0\r\n\r\n" if last else b"")

    def _pause(self, seconds: float | None, gate: threading.Event | None = None) -> bool:
        waited = self._connection.wait(seconds, gate)
        if waited is not Waited.READY:
            self._recorder.end(self._key, client_closed=waited is Waited.CLIENT_CLOSED)
        return waited is Waited.READY

    def _headers(self, frames: Sequence[Frame]) -> bytes:
        plan = self._plan
        length = sum(len(frame.data) for frame in frames)
        framing = {"Transfer-Encoding": "chunked"} if plan.streamed else {"Content-Length": str(length)}
        return status_line(plan.status, {"Content-Type": plan.content_type, **framing, **plan.headers})


def status_line(status: int, headers: Mapping[str, str]) -> bytes:
    """The status line and headers of an answer."""
    known = {item.value: item.phrase for item in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {known.get(status, 'Unknown')}", *(f"{name}: {headers[name]}" for name in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
