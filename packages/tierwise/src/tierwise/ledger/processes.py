"""Which process made a call, and does it still live? What is left of a dead one is in doubt."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["has_died", "this_process"]

_PROC = Path("/proc")
_START_FIELD = 19
"""Where `/proc/PID/stat` says when the process began, counted from behind its name."""


def this_process() -> str:
    """This process in words that no other process has: place, boot, process id and start."""
    pid = os.getpid()
    return f"{_place()} {_boot()} {pid} {_start(pid)}"


def has_died(process: str) -> bool:
    """True if that process certainly lives no more.

    False also where that cannot be told: for another machine or container, and where the system does not say.
    """
    try:
        place, boot, pid, start = process.split(" ")
    except ValueError:
        return False
    if place != _place():
        return False
    if boot != _boot():
        return True
    now = _start(int(pid))
    return now != start if "?" not in (now, start) else _is_gone(int(pid))


def _place() -> str:
    """The machine, and in it the namespace in which process ids mean something."""
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{platform.node() or '?'}/{namespace}".replace(" ", "_")


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "?"


def _start(pid: int) -> str:
    """When a process began, in ticks since boot: tells it from a later one with the same id. `?` if not known."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return "?"
    return stat.rpartition(")")[2].split()[_START_FIELD]


def _is_gone(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end the process there
        return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False
