"""What a table looks like, by the width of the terminal."""

from __future__ import annotations

import io
import re
import sys

import pytest

pytest.importorskip("rich")

from tierwise.cli.screen import table

RUN = "01a201d2672ce1bba84fb3ab"
STYLE = re.compile(r"\x1b\[[0-9;]*m")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _lines(monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    screen = _Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    table(("run", "tier", "why"), [(RUN, "small", "two words"), (RUN, "large", "")])
    return [line.rstrip() for line in STYLE.sub("", screen.getvalue()).splitlines()]


def test_a_wide_terminal_shows_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{RUN}  small  two words" in _lines(monkeypatch, 80)


def test_words_are_kept_whole_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{RUN}  small  two" in _lines(monkeypatch, len(f"{RUN}  small  words"))


def test_a_narrow_terminal_shows_a_line_for_each_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _lines(monkeypatch, 30) == [
        f"run: {RUN}",
        "tier: small",
        "why: two words",
        "",
        f"run: {RUN}",
        "tier: large",
    ]
