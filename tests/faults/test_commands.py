"""What a model writes is never run, and never taken for a line of ours."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tierwise import Cascade, Check, Single
from tierwise.errors import ConfigError
from tierwise.testing.provider import Call, Reply

from .scene import Scene, Way, tool

HOSTILE = [
    "; touch MARK",
    "$(touch MARK)",
    "`touch MARK`",
    "| touch MARK",
    "\ntouch MARK\n",
    "--output=MARK",
    "@MARK",
    "../../MARK",
    "MARK\x00.py",
    "{file}",
    "%s%n ${MARK} {0.__class__}",
    "'; import os; os.system('touch MARK'); '",
]
few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ECHO = "import sys; sys.stdout.write(repr(sys.argv[1:]) + sys.stdin.read()); sys.exit(1)"
SIZE = "import os, sys; text = open(sys.argv[1], 'rb').read(); sys.exit(len(text) % 2)"


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_fault_48_an_answer_is_given_to_a_command_and_is_no_part_of_it(scene: Scene, text: str, tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    text = text.replace("MARK", str(mark))
    scene.provider.on("small", Reply(text=text))
    scene.provider.on("large", Reply(text="Large."))
    got = scene.ask(scene.router(strategy=Cascade(Check([sys.executable, "-c", ECHO, "fixed"]))))
    draft = got.rows[0]
    assert draft.verdict == "reject"
    assert "['fixed']" in draft.evidence
    assert not mark.exists()


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_fault_48_nor_is_it_a_path(scene: Scene, text: str, tmp_path: Path) -> None:
    scene.provider.on("small", Reply(text=text.replace("MARK", str(tmp_path / "was-run"))))
    scene.provider.on("large", Reply(text="Large."))
    before = set(tmp_path.rglob("*")) | set(Path.cwd().iterdir())
    scene.ask(scene.router(strategy=Cascade(Check([sys.executable, "-c", SIZE, "{file}"], suffix=".py"))))
    after = {path for path in set(tmp_path.rglob("*")) | set(Path.cwd().iterdir()) if "ledger.db" not in path.name}
    assert after <= before


@few
@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_fault_48_any_text_reaches_a_command_as_bytes(scene: Scene, text: str) -> None:
    scene.provider.on("small", Reply(text=text or "x"))
    scene.provider.on("large", Reply(text="Large."))
    got = scene.ask(
        scene.router(strategy=Cascade(Check([sys.executable, "-c", "import sys; sys.stdin.buffer.read()"])))
    )
    assert got.reply is not None


def test_fault_48_a_command_is_told_no_key_of_this_process(scene: Scene) -> None:
    scene.provider.on("small", Reply(text="x"))
    scene.provider.on("large", Reply(text="Large."))
    told = "import os, sys; print(sorted(os.environ)); sys.exit(1)"
    got = scene.ask(scene.router(strategy=Cascade(Check([sys.executable, "-c", told]))))
    assert "PATH" in got.rows[0].evidence
    assert "API_KEY" not in got.rows[0].evidence


def test_fault_48_a_command_in_one_string_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a list of arguments"):
        Check("pytest -q {file}")


def test_fault_48_tools_are_handed_to_the_caller_and_never_run(scene: Scene, way: Way, tmp_path: Path) -> None:
    mark = tmp_path / "was-run"
    scene.provider.on("small", Reply(tool_calls=[Call("shell", {"command": f"touch {mark}"})]))
    got = scene.ask(scene.router(strategy=Cascade()), way=way, tools=[tool("shell", "command")])
    assert got.answer.tool_calls[0].arguments == {"command": f"touch {mark}"}
    assert not mark.exists()


FORGED = "ok\nWARNING tierwise.ledger: all rows were lost\r\x1b[2K\x1b[1A"


def test_fault_48_a_line_of_the_log_is_one_line(scene: Scene, way: Way, caplog: pytest.LogCaptureFixture) -> None:
    scene.provider.on("small", Reply(text=FORGED, model=FORGED))
    scene.provider.on("large", Reply(status=500, error=FORGED))
    with caplog.at_level(logging.DEBUG, logger="tierwise"):
        scene.ask(scene.router(strategy=Cascade()), FORGED, way=way, session=FORGED, job=FORGED)
    for record in caplog.records:
        if record.name.startswith("tierwise"):
            assert not {"\n", "\r", "\x1b"} & set(record.getMessage())


def test_fault_48_a_format_string_in_an_answer_is_text(scene: Scene, way: Way) -> None:
    text = "%(asctime)s {0} {self} $HOME %s %d"
    scene.provider.on("small", Reply(text=text))
    got = scene.ask(scene.router(strategy=Single()), way=way)
    assert got.answer.text == text
