"""Runs the server in a process of its own, which ends when its parent does."""

import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

from tierwise_embedded.errors import ServerStartError

__all__ = ["SpawnedServer", "spawn", "READY"]

READY = "listening on "
"""What the child writes before its address, once it can be used."""

_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class SpawnedServer:
    """A server in another process."""

    url: str
    """The address to give to clients, without a path."""
    pid: int


@contextmanager
def spawn(
    models: Iterable[str] | None = None, *, port: int = 0, max_loaded: int = 2, keep_alive: float = 300.0
) -> Generator[SpawnedServer]:
    """Run a server in a child process for the length of a `with` block.

    The child ends when its standard input closes: at the end of the block, and also when this process is killed.
    The first use downloads the missing weights, and tells of it on standard error.

    Args:
        models: Names of the models to offer; the two smaller ones when none are named.
        port: The port to listen on; 0 lets the system choose.
        max_loaded: How many models may be in memory at a time.
        keep_alive: Seconds an idle model stays loaded, when a request does not say.

    Raises:
        ServerStartError: When the child ends before it listens; it has told why on standard error.
    """
    command = [sys.executable, "-m", "tierwise_embedded", "serve", "--until-stdin-closes", "--port", str(port)]
    command += ["--max-loaded", str(max_loaded), "--keep-alive", str(keep_alive), *(models or [])]
    # No shell, and nothing here but this package's own arguments.
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
    with child:
        try:
            yield SpawnedServer(_address(child), child.pid)
        finally:
            _end(child)


def _address(child: "subprocess.Popen[str]") -> str:
    assert child.stdout is not None  # noqa: S101 - a pipe was asked for
    for line in child.stdout:
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
    raise ServerStartError(f"the embedded server ended with status {child.wait()} before it was ready")


def _end(child: "subprocess.Popen[str]") -> None:
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
