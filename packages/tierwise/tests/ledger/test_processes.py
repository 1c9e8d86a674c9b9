"""The ledger among real processes: killed ones, several at once, forked ones."""

import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tierwise import Task
from tierwise.ledger import Row, SQLiteLedger
from tierwise.ledger.processes import has_died, this_process
from tierwise.testing.provider import LoopbackProvider, Reply

CALLS_OF_ONE_ROUND = 4
"""Two threads and two tasks of `caller.py`."""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        running.on("m", Reply(text="Hello."))
        yield running


UNCLOSED = """
import sys
from tierwise import Task
from tierwise.ledger import Row, SQLiteLedger

ledger = SQLiteLedger(sys.argv[1], on_error="raise")
ledger.begin(Row("begun", "r"), Task("hi"))
for i in range(300):
    ledger.settle(Row(f"c{i}", "r", state="settled"))
if sys.argv[2] == "error":
    raise SystemExit(3)
"""


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def start(provider: LoopbackProvider, path: Path, count: int) -> subprocess.Popen[bytes]:
    caller = Path(__file__).with_name("caller.py")
    address = provider.url.removeprefix("http://")
    return subprocess.Popen([sys.executable, str(caller), str(path), address, str(count)], env=environment())


def ids(provider: LoopbackProvider) -> list[str]:
    return [call.headers["x-call-id"] for call in provider.calls]


@pytest.mark.parametrize("seed", range(4))
def test_every_call_that_reached_the_provider_has_a_row_after_kill_9(
    provider: LoopbackProvider, tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "ledger.db"
    process = start(provider, path, 100_000)
    try:
        chance = random.Random(seed)
        enough = chance.randrange(100)
        provider.wait_until(lambda: provider.count() > enough, timeout=60)
        time.sleep(chance.uniform(0, 0.02))
    finally:
        process.kill()
        process.wait()
    provider.wait_idle(60)
    with SQLiteLedger(path) as ledger:
        states = {row.call_id: row.state for row in ledger.rows()}
    assert set(ids(provider)) <= set(states)
    assert set(states.values()) <= {"settled", "unknown"}


def test_three_processes_share_a_file(provider: LoopbackProvider, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    rounds = 15
    processes = [start(provider, path, rounds) for _ in range(3)]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    with SQLiteLedger(path) as ledger:
        rows = ledger.rows()
    assert len(rows) == 3 * rounds * CALLS_OF_ONE_ROUND
    assert sorted(row.call_id for row in rows) == sorted(ids(provider))
    assert {row.state for row in rows} == {"settled"}
    assert len({row.prompt_hash for row in rows}) == 1, "they share one key"


@pytest.mark.parametrize(("how", "code"), [("well", 0), ("error", 3)])
def test_what_is_queued_is_written_when_a_process_ends_without_closing(tmp_path: Path, how: str, code: int) -> None:
    path = tmp_path / "ledger.db"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", UNCLOSED, str(path), how]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (code, "")
    with SQLiteLedger(path) as ledger:
        states = [row.state for row in ledger.rows()]
    assert (states.count("settled"), states.count("unknown")) == (300, 1)


def keep(ledger: SQLiteLedger, call_id: str) -> None:
    row = Row(call_id, "r")
    ledger.begin(row, Task("hi"))
    ledger.settle(replace(row, state="settled"))


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_with_the_ledger(tmp_path: Path) -> None:
    with SQLiteLedger(tmp_path / "ledger.db", on_error="raise") as ledger:
        keep(ledger, "before")
        child = multiprocessing.get_context("fork").Process(target=keep, args=(ledger, "in the child"))
        child.start()
        keep(ledger, "in the parent")
        child.join(60)
        assert child.exitcode == 0
        assert {row.call_id: row.state for row in ledger.rows()} == {
            "before": "settled",
            "in the parent": "settled",
            "in the child": "settled",
        }


@forks
def test_a_process_is_dead_once_it_has_ended() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "import tierwise.ledger.processes as p; print(p.this_process(), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    other = process.stdout.readline().strip()
    assert not has_died(other)
    process.communicate("\n")
    assert has_died(other)
    assert not has_died(this_process())
    assert not has_died("words of another version")
