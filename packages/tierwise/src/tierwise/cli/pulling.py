"""Pulling models, with a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol, cast

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from tierwise.backends.registry import installed
from tierwise.cli.reach import Reach
from tierwise.cli.screen import say
from tierwise.config import Config

__all__ = ["pull_missing"]


class _Pulled(Protocol):
    @property
    def completed(self) -> int | None: ...
    @property
    def total(self) -> int | None: ...
    @property
    def digest(self) -> str | None: ...


class _Pulls(Protocol):
    def pull(self, model: str) -> None: ...


def pull_missing(config: Config, reach: Reach) -> None:
    """Pulls every Ollama model of the settings that is not there. Does nothing if the Ollama cannot be asked.

    Raises:
        BackendError: A pull failed.
    """
    if reach.problem is not None and not reach.local:
        say(reach.problem)
    names = dict.fromkeys(
        m.name for m in config.fleet.models if m.provider == "ollama" and reach.why_not(m) is not None
    )
    for name in names:
        say(f"pulling {name}")
        if not sys.stderr.isatty():
            _pull(config, name, lambda progress: None)
            continue
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bars:
            _pull(config, name, _Bars(bars).show)


def _pull(config: Config, name: str, on_progress: Callable[[_Pulled], None]) -> None:
    options: dict[str, Any] = {**config.backends.get("ollama", {}), "on_progress": on_progress}
    cast("_Pulls", installed("ollama", **options)).pull(name)


class _Bars:
    """One bar for each part of a model."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def show(self, progress: _Pulled) -> None:
        """Moves the bar of the part that is on its way."""
        part, total = progress.digest, progress.total
        if part is None or total is None:
            return
        if part not in self._tasks:
            self._tasks[part] = self._bars.add_task(part.removeprefix("sha256:")[:12], total=total)
        self._bars.update(self._tasks[part], completed=progress.completed or 0)
