"""Programs that a test starts beside itself, and tells when to go."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["PATIENCE", "go", "line", "soon", "started"]

PATIENCE = 60.0
"""Seconds: the machine that tests run on may be busy with anything."""


@contextmanager
def started(name: str, **said: Any) -> Generator[subprocess.Popen[str]]:
    """A program of this folder that is ready to go; its argument is JSON.

    It is killed at the block's end: its last line must come after its ledger is closed.
    """
    command = [sys.executable, str(Path(__file__).with_name(name)), json.dumps(said)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert line(running) == "ready"
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    """The next line that the program says."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


def go(*programs: subprocess.Popen[str]) -> None:
    """Lets them all go at once."""
    for running in programs:
        assert running.stdin is not None
        running.stdin.write("go\n")
        running.stdin.flush()


def soon(happens: Callable[[], bool]) -> bool:
    """Whether it happens before patience ends."""
    ends = time.monotonic() + PATIENCE
    while not happens() and time.monotonic() < ends:
        time.sleep(0.01)
    return happens()
