"""How a download tells of itself."""

import sys
from typing import Protocol, TextIO

__all__ = ["Progress", "silent", "ProgressLine"]


class Progress(Protocol):
    """Told of a download, in bytes: `completed` of `total`."""

    def __call__(self, completed: int, total: int, /) -> None:
        """Take note of how far the download is."""
        ...


def silent(completed: int, total: int, /) -> None:
    """Say nothing."""


class ProgressLine:
    """Shows a download on one line of a terminal, or a plain line every tenth elsewhere."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self._label = label
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._shown = -1

    def __call__(self, completed: int, total: int, /) -> None:
        """Show the progress, when it has moved enough to be seen."""
        percent = 100 * completed // total if total else 100
        step = percent if self._terminal else percent // 10
        if step == self._shown:
            return
        self._shown = step
        text = f"{self._label}: {completed / 1e6:,.0f} of {total / 1e6:,.0f} MB ({percent}%)"
        if self._terminal:
            self._stream.write(f"\r\x1b[K{text}" + ("\n" if completed >= total else ""))
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()
