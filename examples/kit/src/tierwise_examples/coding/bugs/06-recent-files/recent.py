"""The list of recently opened files, as an editor's menu shows it."""

from __future__ import annotations

from collections.abc import Iterable


class RecentFiles:
    """Paths that were opened, the latest first. Each stands there once, and pinned ones are never dropped.

    Args:
        limit: How many are kept that are not pinned.
    """

    def __init__(self, limit: int = 5, paths: Iterable[str] = ()) -> None:
        self.limit = limit
        self._paths: list[str] = []
        self._pinned: set[str] = set()
        for path in paths:
            self.opened(path)

    def opened(self, path: str) -> None:
        """A file was opened: it comes first."""
        if path in self._paths:
            return
        self._paths.insert(0, path)
        self._drop()

    def pin(self, path: str) -> None:
        """A file is to stay in the list."""
        if path not in self._paths:
            raise KeyError(path)
        self._pinned.add(path)

    def unpin(self, path: str) -> None:
        """A file may be dropped again."""
        self._pinned.discard(path)
        self._drop()

    def menu(self) -> list[str]:
        """What the menu shows: pinned files first, then the others, the latest first."""
        pinned = [path for path in self._paths if path in self._pinned]
        return pinned + [path for path in self._paths if path not in self._pinned]

    def _drop(self) -> None:
        loose = [path for path in self._paths if path not in self._pinned]
        for path in loose[self.limit :]:
            self._paths.remove(path)
