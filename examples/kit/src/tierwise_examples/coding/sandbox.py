"""Where code that a model wrote is run: without network, home or keys, and within limits.

`open_sandbox()` gives a `Bubblewrap`: namespaces of its own, the system and this Python read-only, and the repository
as a copy in memory of bounded size, which is gone when the run ends. Nothing that runs there can write to the disk.

Memory is limited for each process and not for all together, so `Limits.processes` x `Limits.memory` bounds the whole.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from secrets import randbelow
from typing import Any

from tierwise.errors import ConfigError

from tierwise_examples.coding.bounded import Ran, run_bounded

__all__ = ["Bubblewrap", "Limits", "Sandbox", "SandboxError", "Unsafe", "open_sandbox"]

_INSIDE = Path(__file__).with_name("inside.py")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_PLACE = "/sandbox"
_NO_NAMESPACES = ("--unshare-user", "--disable-userns")
"""In a user namespace of one's own, and none within it."""
_SCRATCH = 16 << 20
"""Bytes of the sandbox's /tmp and of its /dev/shm."""
_FIRST_UID = 1_900_000_000
_UIDS = 100_000_000
"""Ids above those that systems give to their users: each run has one of its own."""


class SandboxError(ConfigError):
    """Code that a model wrote cannot be run safely on this machine; the message says what to do about it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take."""

    seconds: float = 30.0
    """By the clock on the wall; then everything that was started is ended. Also the CPU seconds of each process."""
    memory: int = 1 << 30
    """Bytes of address space, for each process."""
    disk: int = 64 << 20
    """Bytes of the copy that tests run in."""
    file: int = 16 << 20
    """Bytes of any one file."""
    processes: int = 24
    """Processes and threads at a time."""
    output: int = 1 << 20
    """Bytes of output after which a run is ended."""


class Sandbox(ABC):
    """Runs a command over a copy of a folder."""

    isolated: bool
    """Whether what runs there is kept apart from this machine."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    def run(self, folder: Path, command: Sequence[str]) -> Ran:
        """Runs a command in a copy of the folder, which is thrown away afterwards.

        Args:
            folder: What is copied; it is not written to.
            command: The whole path of a program, and its arguments. No shell reads it.
        """
        with self._place(folder) as (prefix, order):
            full = {**order, "command": list(command), "limits": self._rlimits()}
            inside = [sys.executable, "-I", "-S", order["inside"], json.dumps(full)]
            return run_bounded([*prefix, *inside], _environment(), self.limits.seconds, self.limits.output)

    @abstractmethod
    def _place(self, folder: Path) -> AbstractContextManager[tuple[Sequence[str], Mapping[str, Any]]]:
        """The command that opens the place, and what `inside.py` is told of it."""

    def _rlimits(self) -> dict[str, int]:
        limits = self.limits
        return {
            "RLIMIT_AS": limits.memory,
            "RLIMIT_FSIZE": limits.file,
            "RLIMIT_CPU": int(limits.seconds) + 1,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_CORE": 0,
        }


class Bubblewrap(Sandbox):
    """Linux namespaces, by bubblewrap.

    Raises:
        SandboxError: Bubblewrap is not installed, too old, or not allowed to make namespaces here.
    """

    isolated = True

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self._program = _bubblewrap()

    def _place(self, folder: Path) -> AbstractContextManager[tuple[Sequence[str], Mapping[str, Any]]]:
        uid = _FIRST_UID + randbelow(_UIDS) if os.geteuid() == 0 else None
        prefix = [self._program, *_walls(uid), *self._mounts(folder), "--"]
        order: dict[str, Any] = {"inside": "/inside.py", "source": "/source", "target": f"{_PLACE}/repo", "uid": uid}
        # A user namespace of their own would let tests mount what no limit counts.
        wrap = [] if uid is None else [self._program, *_NO_NAMESPACES, "--dev-bind", "/", "/", "--"]
        return nullcontext((prefix, {**order, "wrap": wrap}))

    def _rlimits(self) -> dict[str, int]:
        # Counted within the sandbox's own user, whom nobody else is.
        return {**super()._rlimits(), "RLIMIT_NPROC": self.limits.processes}

    def _mounts(self, folder: Path) -> list[str]:
        mounts = ["--proc", "/proc", "--dev", "/dev"]
        for size, path in ((self.limits.disk, _PLACE), (_SCRATCH, "/tmp"), (_SCRATCH, "/dev/shm")):
            mounts += ["--perms", "1777", "--size", str(size), "--tmpfs", path]
        # This Python may lie anywhere, also below /tmp: it comes last.
        for path in (*_SYSTEM, *_python()):
            for above in reversed(Path(path).parents[:-1]):
                mounts += ["--perms", "0755", "--dir", str(above)]
            mounts += ["--ro-bind-try", path, path]
        mounts += ["--ro-bind", str(_INSIDE), "/inside.py", "--ro-bind", str(folder), "/source"]
        # Bubblewrap's own root and /dev lie in memory without a bound.
        return [*mounts, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]


class Unsafe(Sandbox):
    """The same limits, as far as they can be had without isolation. What runs here may do whatever you may do."""

    isolated = False

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        logging.getLogger(__name__).warning(
            "NO SANDBOX: code that a model wrote runs with your rights, your files and your network. Disk and number "
            "of processes are not limited."
        )

    @contextmanager
    def _place(self, folder: Path) -> Generator[tuple[Sequence[str], Mapping[str, Any]]]:
        with tempfile.TemporaryDirectory(prefix="tierwise-run-", ignore_cleanup_errors=True) as target:
            yield (
                [],
                {"inside": str(_INSIDE), "source": str(folder), "target": f"{target}/repo", "uid": None, "wrap": []},
            )


def open_sandbox(*, unsafe: bool = False, limits: Limits | None = None) -> Sandbox:
    """The sandbox of this machine.

    Args:
        unsafe: Run without isolation, and say so.
        limits: What a run may take.

    Raises:
        SandboxError: There is none, and `unsafe` was not asked for.
    """
    return Unsafe(limits) if unsafe else Bubblewrap(limits)


def _walls(uid: int | None) -> list[str]:
    """What is shut off.

    Root needs no user namespace, and would be root outside of it too, whose processes nothing counts: `inside.py` takes
    another user's id in its place, for which it keeps the two capabilities.
    """
    walls = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    walls += ["--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]
    if uid is not None:
        return [*walls, "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    return [*walls, *_NO_NAMESPACES]


def _python() -> list[str]:
    """Where this Python and its packages lie."""
    return sorted({os.path.realpath(path) for path in (sys.prefix, sys.base_prefix)} | {sys.prefix, sys.base_prefix})


def _environment() -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


@cache
def _bubblewrap() -> str:
    """The program, tried once.

    Raises:
        SandboxError: See `Bubblewrap`.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise _refusal("bwrap is not on the PATH")
    uid = _FIRST_UID if os.geteuid() == 0 else None
    room = ["--size", "65536", "--tmpfs", "/tmp"]
    mounts = [word for path in _SYSTEM for word in ("--ro-bind-try", path, path)]
    tried = run_bounded([program, *_walls(uid), *mounts, *room, "--", "/usr/bin/env"], {}, 10.0, 4096)
    if tried.code != 0:
        raise _refusal(f"bwrap does not run here: {tried.output.strip() or 'no answer in 10 seconds'}")
    return program


def _refusal(why: str) -> SandboxError:
    return SandboxError(
        f"code that a model wrote runs in a sandbox only: {why}. Install bubblewrap 0.8 or newer (`apt-get install "
        "bubblewrap`), on a kernel that allows user namespaces, or give --unsafe to run it without one, with your "
        "rights, your files and your network",
        setting="sandbox",
        value="bwrap",
    )
