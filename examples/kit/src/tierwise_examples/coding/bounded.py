"""Runs a program with a limit on its time and on what it writes."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

__all__ = ["Ran", "run_bounded"]

_TAIL = 16_384
"""Bytes of output that are kept, its last."""
_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended."""

    code: int | None
    """The exit code; `None` if it was ended."""
    output: str
    """The tail of what it wrote, standard output and standard error together."""
    ended: str = ""
    """Why it was ended; empty if it ended by itself."""


def run_bounded(command: Sequence[str], environment: Mapping[str, str], seconds: float, most: int) -> Ran:
    """Runs a program without a shell, and leaves nothing of it running.

    Args:
        command: The program and its arguments.
        environment: All that it is told of the environment.
        seconds: How long it may take.
        most: Bytes that it may write.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
        bufsize=0,
    )
    assert process.stdout is not None
    with process.stdout as pipe:
        until = time.monotonic() + seconds
        code: int | None = None
        try:
            ended, kept = _read(pipe, until, most)
            if not ended:
                code = process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:  # it closed its output, and went on
            ended, kept = "time", b""
        finally:
            # The group outlives its leader as long as anything in it runs.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    why = {"time": f"ended after {seconds:g} s", "output": f"ended after {most:,} bytes of output", "": ""}[ended]
    return Ran(code, kept.decode("utf-8", errors="replace"), why)


def _read(pipe: IO[bytes], until: float, most: int) -> tuple[str, bytes]:
    """Reads to the end of the output, or to a limit; gives which one, and the tail."""
    kept, seen = b"", 0
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not ready.select(left):
                break
            chunk = os.read(pipe.fileno(), _CHUNK)
            if not chunk:
                return "", kept
            seen += len(chunk)
            kept = (kept + chunk)[-_TAIL:]
            if seen > most:
                return "output", kept
    return "time", kept
