"""What a hostile repository can do: nothing outside, and not for long."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from tierwise_examples.coding.bounded import Ran
from tierwise_examples.coding.sandbox import Limits, Sandbox, SandboxError, open_sandbox
from tierwise_examples.coding.testrun import TestRun
from tierwise_examples.coding.workspace import Workspace

Make: TypeAlias = Callable[[Mapping[str, str]], Path]
MEGABYTE = 1 << 20


def run(sandbox: Sandbox, folder: Path, code: str) -> Ran:
    """Runs a script over a folder."""
    return sandbox.run(folder, [sys.executable, "-c", code])


def suite(sandbox: Sandbox, folder: Path) -> TestRun:
    with Workspace.copy(folder, sandbox) as workspace:
        return workspace.run_tests()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder that every user can read."""
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def limited(sandbox: Sandbox, limits: Limits) -> Sandbox:
    """The sandbox with other limits. Takes the fixture, so that it is skipped where there is none."""
    return type(sandbox)(limits)


def test_it_says_how_a_program_ended(sandbox: Sandbox, folder: Path) -> None:
    assert run(sandbox, folder, "print('hello')") == Ran(0, "hello\n")
    assert run(sandbox, folder, "raise SystemExit(3)").code == 3


def test_what_is_written_stays_inside(sandbox: Sandbox, folder: Path) -> None:
    (folder / "kept.txt").write_text("as it was")
    ran = run(sandbox, folder, "open('kept.txt', 'a').write('!'); open('new', 'w'); print(open('kept.txt').read())")
    assert ran.output == "as it was!\n"
    assert [path.name for path in folder.iterdir()] == ["kept.txt"]
    assert (folder / "kept.txt").read_text() == "as it was"


@pytest.mark.parametrize("place", ["/", "/usr", "/etc", "/dev", "/source", sys.prefix])
def test_nothing_else_can_be_written(sandbox: Sandbox, folder: Path, place: str) -> None:
    ran = run(sandbox, folder, f"open({place!r} + '/planted', 'w')")
    refused = ran.output.splitlines()[-1]
    assert refused.startswith(("OSError: [Errno 30]", "PermissionError:", "FileNotFoundError:"))
    assert refused.endswith(f"'{place}/planted'")


def test_home_and_environment_are_not_there(
    sandbox: Sandbox, make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("hunter2")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("API_KEY", "hunter2")
    spy = f"""
import os, pathlib
files = ({str(tmp_path / "secret.txt")!r}, '/etc/passwd', '/etc/shadow')
found = [file for file in files if pathlib.Path(file).exists()]
found += [name for name in os.environ if 'KEY' in name]
found += [name for name in os.listdir(os.path.expanduser('~')) if not {sys.prefix!r}.startswith(f'/tmp/{{name}}/')]
def test_spy():
    assert found == []
"""
    assert suite(sandbox, make({"test_spy.py": spy})).passed


def test_there_is_no_network(sandbox: Sandbox, make: Make) -> None:
    conftest = """
import socket
try:
    socket.create_connection(("127.0.0.1", 22), timeout=2)
    reached = "reached"
except OSError as error:
    reached = type(error).__name__
names = [name for _, name in socket.if_nameindex()]
"""
    test = """
from conftest import names, reached
def test_it():
    assert (names, reached) == (["lo"], "ConnectionRefusedError")
"""
    assert suite(sandbox, make({"conftest.py": conftest, "test_it.py": test})).passed


def test_a_server_of_this_machine_is_not_reached(sandbox: Sandbox, folder: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ran = run(sandbox, folder, f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=2)")
        assert "ConnectionRefusedError" in ran.output


def test_an_endless_test_is_ended(sandbox: Sandbox, make: Make) -> None:
    endless = make({"test_it.py": "def test_it():\n    while True: pass"})
    found = suite(limited(sandbox, Limits(seconds=2)), endless)
    assert (found.passed, found.summary) == (False, "ended after 2 s")


def test_a_program_that_hides_its_output_is_ended_too(sandbox: Sandbox, folder: Path) -> None:
    hidden = "import os, time; os.close(1); os.close(2); time.sleep(600)"
    assert run(limited(sandbox, Limits(seconds=2)), folder, hidden).ended == "ended after 2 s"


def test_what_is_left_in_the_background_is_ended(sandbox: Sandbox, folder: Path) -> None:
    marker = f"tierwise-{os.getpid()}-orphan"
    orphan = f"""
import subprocess, sys
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {marker!r}], start_new_session=True)
"""
    assert run(sandbox, folder, orphan).code == 0
    ends = time.monotonic() + 60
    while is_running(marker) and time.monotonic() < ends:  # it is ended, which takes a moment
        time.sleep(0.01)
    assert not is_running(marker)


def is_running(marker: str) -> bool:
    """Whether a process of this machine has it in its command."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # a process that has ended meanwhile
            if marker.encode() in command.read_bytes():
                return True
    return False


def test_a_full_disk_is_the_sandboxes_own(sandbox: Sandbox, make: Make) -> None:
    filler = """
def test_fill():
    written = 0
    try:
        for number in range(64):
            with open(f'f{number}', 'wb') as file:
                file.write(b'x' * (1 << 20))
            written += 1
    except OSError as error:
        raise AssertionError(f'{written} MB, then {error.strerror}')
"""
    found = suite(limited(sandbox, Limits(disk=8 * MEGABYTE)), make({"test_fill.py": filler}))
    assert not found.passed
    assert "7 MB, then No space left on device" in found.output


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_other_places_in_memory_are_bounded(sandbox: Sandbox, folder: Path, place: str) -> None:
    fill = f"for n in range(64): open(f'{place}/{{n}}', 'wb').write(b'x' * (1 << 20))"
    assert "No space left on device" in run(sandbox, folder, fill).output


def test_one_file_is_bounded(sandbox: Sandbox, folder: Path) -> None:
    import signal

    big = "open('big', 'wb').truncate(1 << 40)"
    assert run(sandbox, folder, big).code in (1, 128 + signal.SIGXFSZ)


def test_memory_is_bounded(sandbox: Sandbox, folder: Path) -> None:
    small = limited(sandbox, Limits(memory=256 * MEGABYTE))
    assert "MemoryError" in run(small, folder, "bytearray(512 << 20)").output


def test_a_fork_bomb_runs_out_of_processes(sandbox: Sandbox, folder: Path) -> None:
    bomb = """
import os, time
count = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        count += 1
except BlockingIOError:
    print('stopped at', count)
"""
    found = run(limited(sandbox, Limits(seconds=60, processes=16)), folder, bomb)
    assert found.output.startswith("stopped at ")
    assert int(found.output.split()[-1]) < 16


def test_no_namespace_can_be_made_inside(sandbox: Sandbox, folder: Path) -> None:
    ran = run(
        sandbox, folder, "import os; os.execv('/usr/bin/unshare', ['unshare', '--user', '--map-root-user', 'id'])"
    )
    assert ran.code == 1
    assert "unshare failed" in ran.output


def test_two_runs_do_not_count_each_others_processes(sandbox: Sandbox, folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    forks = """
import os, time
children = [pid for _ in range(10) if (pid := os.fork()) or time.sleep(2) or os._exit(0)]
print(len(children))
"""
    few = limited(sandbox, Limits(processes=16))
    with ThreadPoolExecutor() as pool:
        ran = [pool.submit(run, few, folder, forks) for _ in range(2)]
    assert [r.result().output for r in ran] == ["10\n", "10\n"]


def test_a_flood_of_output_is_ended_and_its_tail_kept(sandbox: Sandbox, folder: Path) -> None:
    flood = "import os\nwhile True: os.write(1, b'x' * 65536)"
    ran = run(limited(sandbox, Limits(output=MEGABYTE)), folder, flood)
    assert (ran.code, ran.ended) == (None, "ended after 1,048,576 bytes of output")
    assert 0 < len(ran.output) < 20_000


def test_a_test_that_kills_its_parent_hurts_itself_alone(sandbox: Sandbox, make: Make) -> None:
    killer = """
import os, signal
def test_kill():
    for pid in (os.getppid(), 1, -1):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
"""
    found = suite(sandbox, make({"test_kill.py": killer}))
    assert not (found.passed and found.green > 1)
    assert os.getppid() > 0


def test_a_test_that_leaves_early_proves_nothing(sandbox: Sandbox, make: Make) -> None:
    found = suite(sandbox, make({"test_it.py": "import os\ndef test_it():\n    os._exit(0)"}))
    assert not found.passed


def test_without_bubblewrap_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tierwise_examples.coding import sandbox as module

    monkeypatch.setenv("PATH", str(tmp_path))
    module._bubblewrap.cache_clear()
    try:
        with pytest.raises(SandboxError, match=r"apt-get install bubblewrap.*--unsafe"):
            open_sandbox()
    finally:
        module._bubblewrap.cache_clear()


def test_a_bubblewrap_that_is_not_allowed_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tierwise_examples.coding import sandbox as module

    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    module._bubblewrap.cache_clear()
    try:
        with pytest.raises(SandboxError, match="No permissions to create new namespace"):
            open_sandbox()
    finally:
        module._bubblewrap.cache_clear()


def test_unsafe_is_said_aloud_and_still_limited(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    unsafe = open_sandbox(unsafe=True, limits=Limits(memory=512 * MEGABYTE))
    assert not unsafe.isolated
    assert "NO SANDBOX" in caplog.text
    assert run(unsafe, folder, "print(1)").output == "1\n"
    assert run(limited(unsafe, Limits(seconds=2)), folder, "while True: pass").ended == "ended after 2 s"
    assert "MemoryError" in run(unsafe, folder, "bytearray(1 << 30)").output
    assert list(folder.iterdir()) == []
