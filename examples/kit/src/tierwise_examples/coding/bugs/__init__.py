"""Eight small repositories with a bug each, of rising difficulty. Only their tests say what is wrong."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tierwise.errors import UnknownNameError

__all__ = ["Bug", "find_bug", "seeded_bugs"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Bug:
    """A repository with a failing test."""

    name: str
    """The name of its folder, e.g. `01-...`."""
    title: str
    """What a user would report."""
    difficulty: str
    """What kind of change mends it."""

    @property
    def path(self) -> Path:
        """The repository."""
        return _FOLDER / self.name


def seeded_bugs() -> list[Bug]:
    """The bugs, the easiest first."""
    with (_FOLDER / "bugs.toml").open("rb") as file:
        told = tomllib.load(file)
    return [Bug(name, about["title"], about["difficulty"]) for name, about in sorted(told.items())]


def find_bug(name: str) -> Bug:
    """The bug of that name, or whose name begins so, e.g. `01`.

    Raises:
        UnknownNameError: There is none; the message names the nearest.
    """
    bugs = seeded_bugs()
    found = [bug for bug in bugs if bug.name == name] or [bug for bug in bugs if bug.name.startswith(f"{name}-")]
    if len(found) != 1:
        raise UnknownNameError("bug", name, [bug.name for bug in bugs], where="--bug")
    return found[0]
