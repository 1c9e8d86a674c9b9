"""Runs a program over an answer: no shell, a time limit, bounded output, and nothing left running."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from subprocess import Popen

__all__ = ["FILE", "Ran", "run_command"]

FILE = "{file}"
"""The argument in place of which a command is given the path of a file with the answer."""

_KEPT = (
    "PATH HOME USER LANG LC_ALL LC_CTYPE TZ TMPDIR TEMP TMP VIRTUAL_ENV "
    "SYSTEMROOT WINDIR COMSPEC PATHEXT USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA PROGRAMFILES"
)
"""What a program is told of this process's environment: where things are. Keys and tokens stay here."""

_TAIL = 4000
"""Bytes of output that are kept, its last."""
_CHUNK = 65536
_WINDOWS = sys.platform == "win32"
_NEW_GROUP = 0x200 if _WINDOWS else 0
"""Windows' CREATE_NEW_PROCESS_GROUP."""
_GRACE = 5.0
"""Seconds for the output of a program that has ended to be read."""


class Ran(NamedTuple):
    """How a program ended."""

    code: int | None
    """The exit code; `None` if it ran out of time, and was ended."""
    output: str
    """The tail of what it wrote, standard output and standard error together."""


def run_command(
    arguments: Sequence[str],
    text: str,
    *,
    timeout: float,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    suffix: str = "",
) -> Ran:
    """Runs a program on a text: in a file, if an argument is `{file}`, else on standard input.

    Args:
        arguments: Program and arguments.
        text: What it is given. No part of it is read as a command, an argument or a path.
        timeout: Seconds after which the program and all that it started are ended.
        cwd: Where it runs.
        env: Further environment variables; of this process's own only a few that say where things are.
        suffix: The ending of the file's name.
    """
    from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="tierwise-", ignore_cleanup_errors=True) as folder:
        path = Path(folder, f"answer{suffix}")
        path.write_bytes(text.encode("utf-8", errors="replace"))
        given = [str(path) if argument == FILE else argument for argument in arguments]
        with path.open("rb") as file:
            process = Popen(  # noqa: S603 - the user's own command, without a shell
                given,
                stdin=DEVNULL if FILE in arguments else file,
                stdout=PIPE,
                stderr=STDOUT,
                cwd=cwd,
                env={**_environment(), **(env or {})},
                start_new_session=not _WINDOWS,
                creationflags=_NEW_GROUP,
            )
        tail = _Tail(process.stdout)
        code: int | None = None
        try:
            code = process.wait(timeout)
        except TimeoutExpired:
            pass
        finally:
            _end(process)
        return Ran(code, tail.text())


class _Tail:
    """Reads a pipe to its end in a thread, so that it never fills, and keeps the last of it."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        from threading import Thread

        assert pipe is not None  # noqa: S101 - opened with a pipe
        self._kept = b""
        self._thread = Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while chunk := os.read(pipe.fileno(), _CHUNK):
                self._kept = (self._kept + chunk)[-_TAIL:]

    def text(self) -> str:
        self._thread.join(_GRACE)
        return self._kept.decode("utf-8", errors="replace").strip()


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT.split() if name in os.environ}


if sys.platform == "win32":

    def _end(process: Popen[bytes]) -> None:
        """Ends the program and whatever it started."""
        from subprocess import DEVNULL, run

        if process.poll() is None:
            run(["taskkill", "/T", "/F", "/PID", str(process.pid)], stdout=DEVNULL, stderr=DEVNULL, check=False)  # noqa: S603, S607
        process.kill()
        process.wait()

else:

    def _end(process: Popen[bytes]) -> None:
        """Ends the program and whatever it started."""
        from contextlib import suppress
        from signal import SIGKILL

        # The group outlives its leader as long as anything in it runs.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, SIGKILL)
        process.wait()
