"""A mission of several subtasks, each under a key, that is killed on its way and resumed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tierwise.testing.provider import Reply as Said

from .programs import PATIENCE, go, line, started
from .scene import Scene

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

SUBTASKS = ("design", "code", "tests", "docs")


def worked(scene: Scene, store: Path, *, dies: str | None = None, settled: bool = False) -> list[tuple[str, bool]]:
    """Works until the end, or until it is killed: what was said of each subtask."""
    said: dict[str, Any] = {"provider": scene.provider.url, "ledger": str(scene.path), "store": str(store)}
    with started("worker.py", **said, subtasks=SUBTASKS, dies=dies, settled=settled, lease=1.0) as program:
        go(program)
        if dies is not None:
            assert program.wait(PATIENCE) == -9
            return []
        return [(text, replayed) for text, replayed in json.loads(line(program))]


def calls(scene: Scene) -> Counter[str]:
    """How often each subtask reached the provider."""
    return Counter(str(call.body["messages"][-1]["content"]) for call in scene.provider.calls)


@pytest.mark.parametrize("dies", SUBTASKS)
@pytest.mark.parametrize("settled", [True, False], ids=["between-subtasks", "before-a-settlement"])
def test_fault_32_what_is_done_is_neither_called_nor_billed_again(
    scene: Scene, tmp_path: Path, dies: str, settled: bool
) -> None:
    scene.provider.on("small", Said(text="Done."))
    store = tmp_path / "state.db"
    worked(scene, store, dies=dies, settled=settled)
    ended = SUBTASKS.index(dies) + settled
    before = scene.ledger.rows()

    said = worked(scene, store)
    assert [replayed for _, replayed in said] == [place < ended for place in range(len(SUBTASKS))]
    assert [text for text, _ in said] == ["Done."] * len(SUBTASKS)
    expected = Counter(f"Do {name}." for name in SUBTASKS)
    if not settled:
        expected[f"Do {dies}."] += 1  # nobody knows whether the first had its answer: the caller allowed another
    assert calls(scene) == expected
    rows = scene.ledger.rows()
    assert len(rows) == expected.total()
    after = {row.call_id: row for row in rows}
    assert all(after[row.call_id] == row for row in before if row.state == "settled"), "a settled row was changed"
    # A row is settled in the background: of a process that is killed, the last one may not be.
    assert [row.state for row in rows].count("unknown") in ((0, 1) if settled else (1,))
