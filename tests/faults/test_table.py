"""The table, its tests and its page say the same."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import pytest

from .table import GROUPS, PAGE, ROOT, Line, page

NUMBERS = range(1, 49)
LINES = {line.number: line for group in GROUPS for line in group.lines}


@lru_cache(maxsize=1)
def standing() -> Mapping[int, Sequence[str]]:
    """The tests of each line, wherever they stand."""
    found: dict[int, list[str]] = defaultdict(list)
    for place in (ROOT / "tests", ROOT / "packages"):
        for path in place.rglob("test_*.py"):
            text = path.read_text(encoding="utf-8")
            if "test_fault_" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    named = re.match(r"test_fault_(\d\d)_", node.name)
                    if named:
                        found[int(named[1])].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def test_every_number_has_one_line() -> None:
    assert sorted(LINES) == sorted(NUMBERS)
    assert sum(len(group.lines) for group in GROUPS) == len(NUMBERS)


@pytest.mark.parametrize("line", LINES.values(), ids=lambda line: f"{line.number:02}")
def test_every_line_has_a_test(line: Line) -> None:
    assert standing().get(line.number), f"there is no test_fault_{line.number:02}_..."


def test_every_test_has_a_line() -> None:
    assert set(standing()) <= set(NUMBERS)


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/faults/table.py"


def test_no_cell_breaks_the_page() -> None:
    for line in LINES.values():
        assert "|" not in line.happens + line.does
        assert "\n" not in line.happens + line.does
