"""A lock between processes, held on a file."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["file_lock"]

if sys.platform == "win32":
    import msvcrt
    import time

    def _acquire(descriptor: int) -> None:
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return
            except OSError:
                time.sleep(0.2)

    def _release(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def file_lock(path: Path) -> Generator[None]:
    """Hold an exclusive lock on a file; the system lets go of it when its holder dies."""
    with path.open("a+b") as file:
        file.seek(0)
        _acquire(file.fileno())
        try:
            yield
        finally:
            file.seek(0)
            _release(file.fileno())
