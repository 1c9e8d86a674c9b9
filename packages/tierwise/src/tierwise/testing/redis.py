"""A Redis server of a test's own: started on a free port of this machine, with nothing in it, and gone afterwards."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tierwise.errors import ConfigError

__all__ = ["RedisServer"]

_HOST = "127.0.0.1"
_PROGRAMS = ("redis-server", "valkey-server")
_PATIENCE = 60.0
"""Seconds that a server has to come up: the machine may be busy with anything."""


class RedisServer:
    """A real server, as a context manager. It may be stopped and started again, on the same port.

    Args:
        program: The server's program; by default `redis-server` or `valkey-server`, as found on the `PATH`.

    Raises:
        ConfigError: There is no such program; the message says how to get it.
    """

    settings: Sequence[str] = ("--bind", _HOST, "--save", "", "--appendonly", "no")
    """What the server is told beside its port and folder."""

    def __init__(self, program: str | None = None) -> None:
        found = next(filter(None, map(shutil.which, (program,) if program else _PROGRAMS)), None)
        if found is None:
            raise ConfigError(
                f"there is no {program or ' or '.join(_PROGRAMS)} on the PATH: apt-get install redis-server, or "
                "brew install redis",
                setting="program",
                value=program,
            )
        self._program = found
        self._folder = tempfile.TemporaryDirectory(prefix="tierwise-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The server's address, once it was started."""
        return f"redis://{_HOST}:{self.port}"

    def start(self) -> None:
        """Starts the server, with nothing in it, and waits until it answers.

        Raises:
            RuntimeError: It ends, or does not come up in a minute; the message has its log.
        """
        for _ in range(5):  # another program may take the port before the server does
            port = self.port or _free_port()
            self._process = self._spawn(port)
            if self._answers(port):
                self.port = port
                return
            self.stop()
        raise RuntimeError(f"{self._program} does not come up:\n{self._log.read_text(errors='replace')}")

    def stop(self) -> None:
        """Ends the server at once; what it held is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> RedisServer:
        try:
            self.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()

    @property
    def _log(self) -> Path:
        return Path(self._folder.name) / "log"

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        options = ["--port", str(port), "--dir", self._folder.name, *self.settings]
        with self._log.open("ab") as log:
            return subprocess.Popen([self._program, *options], stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603 - a program of this machine

    def _answers(self, port: int) -> bool:
        ends = time.monotonic() + _PATIENCE
        while time.monotonic() < ends and self._process is not None and self._process.poll() is None:
            with suppress(OSError), socket.create_connection((_HOST, port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(5) == b"+PONG":
                    return True
            time.sleep(0.01)
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        return free.getsockname()[1]
