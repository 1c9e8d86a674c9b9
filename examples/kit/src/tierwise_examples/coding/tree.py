"""Reads and writes the files of a folder that may be hostile: no link is followed, neither in a path nor at its end."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tierwise.errors import ConfigError

__all__ = ["WorkspaceError", "copy_tree", "read_bytes", "replace_bytes"]

_LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "node_modules", "__pycache__", ".pytest_cache"}
)
_MOST_FILES = 2_000
_MOST_BYTES = 16 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK


class WorkspaceError(ConfigError):
    """A path leads out of the repository, or the repository cannot be copied."""


def copy_tree(source: Path, target: Path) -> list[str]:
    """Copies the plain files and folders below a folder, and gives the paths of what is neither.

    Args:
        source: A folder.
        target: An empty folder. What is written there can be read by every user who can reach it.

    Raises:
        WorkspaceError: There are more than 2,000 files, or more than 16 MB.
    """
    skipped: list[str] = []
    files, size = 0, 0
    for folder, names, found, descriptor in os.fwalk(source):
        within = PurePosixPath(Path(folder).relative_to(source).as_posix())
        names[:] = sorted(set(names) - _LEFT_OUT)
        links = [name for name in names if _is_link(name, descriptor)]
        (target / within).mkdir(mode=0o755, exist_ok=True)
        for name in sorted(found):
            data = _plain(name, descriptor)
            if data is None:
                links.append(name)
                continue
            files, size = files + 1, size + len(data)
            if files > _MOST_FILES or size > _MOST_BYTES:
                raise WorkspaceError(
                    f"{str(source)!r} holds more than {_MOST_FILES:,} files or {_MOST_BYTES >> 20} MB: give a smaller "
                    "repository, or a folder of it",
                    setting="path",
                    value=str(source),
                )
            (target / within / name).write_bytes(data)
            (target / within / name).chmod(0o644)
        skipped += [str(within / name) for name in links]
    return skipped


def read_bytes(root: Path, file: str) -> bytes:
    """What a plain file below a folder holds.

    Raises:
        WorkspaceError: It is not there, or is reached by a link.
    """
    with _parent(root, file) as (folder, name):
        data = _plain(name, folder)
    if data is None:
        raise _led_away(root, file)
    return data


def replace_bytes(root: Path, file: str, data: bytes) -> None:
    """Puts a new file in the place of one that is there, whole or not at all. Other names of the old one keep it.

    Raises:
        WorkspaceError: It is not there, or is reached by a link.
    """
    with _parent(root, file) as (folder, name):
        mode = _mode(name, folder)
        if mode is None or not stat.S_ISREG(mode):
            raise _led_away(root, file)
        draft = f".{name}.{os.getpid()}.tierwise"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
        with open(descriptor, "wb") as out:
            out.write(data)
            os.fchmod(out.fileno(), stat.S_IMODE(mode))
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


@contextmanager
def _parent(root: Path, file: str) -> Generator[tuple[int, str]]:
    """The folder of a file, opened part by part, and the file's name."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise _led_away(root, file)
    opened = [os.open(root, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for part in path.parts[:-1]:
            opened.append(os.open(part, _FOLDER, dir_fd=opened[-1]))
        yield opened[-1], path.name
    except OSError as error:
        raise _led_away(root, file) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _plain(name: str, folder: int) -> bytes | None:
    """What a plain file holds, up to what a repository may have; `None` for a link, a pipe, a device."""
    mode = _mode(name, folder)
    if mode is None or not stat.S_ISREG(mode):
        return None
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return file.read(_MOST_BYTES + 1)


def _is_link(name: str, folder: int) -> bool:
    mode = _mode(name, folder)
    return mode is None or stat.S_ISLNK(mode)


def _mode(name: str, folder: int) -> int | None:
    """The kind and the rights of what has this name; `None` if nothing has."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return None


def _led_away(root: Path, file: str) -> WorkspaceError:
    return WorkspaceError(f"{file!r} is no plain file below {str(root)!r}", setting="file", value=file)
