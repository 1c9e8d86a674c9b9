from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tierwise import Fleet, Router, Single, Tier
from tierwise.testing import ScriptedBackend
from tierwise.testing.network import NetworkForbiddenError, forbidden
from tierwise.testing.provider import LoopbackProvider

# An address that is reserved for documentation: nobody is there, whatever happens.
NOWHERE = "192.0.2.1"


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection((NOWHERE, 80), timeout=0.01),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (NOWHERE, 53)),
        lambda: socket.getaddrinfo("api.example.com", 443),
        lambda: socket.gethostbyname("api.example.com"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_another_machine_is_out_of_reach_and_named(reach: object) -> None:
    assert callable(reach)
    with forbidden() as blocked:
        with pytest.raises(NetworkForbiddenError, match=r"192\.0\.2\.1|api\.example\.com"):
            reach()
        assert len(blocked) == 1


def test_this_machine_can_be_reached() -> None:
    with forbidden() as blocked, LoopbackProvider() as provider:
        host, port = provider.url.removeprefix("http://").split(":")
        for name in (host, "localhost"):
            socket.create_connection((name, int(port)), timeout=5).close()
    assert blocked == []


def test_afterwards_nothing_is_forbidden() -> None:
    with forbidden():
        pass
    with pytest.raises(OSError):  # not the error of ours
        socket.create_connection(("127.0.0.1", 1), timeout=0.1)


def test_a_router_does_not_fall_back_on_it() -> None:
    backend = ScriptedBackend({"a": NetworkForbiddenError(NOWHERE), "b": "from b"})
    router = Router(Fleet([Tier("only", ["x:a", "x:b"])]), strategy=Single(), backends={"x": backend})
    with pytest.raises(NetworkForbiddenError):
        router.run("hi")


TESTS = f"""
import socket

def reach():
    try:
        socket.create_connection(("{NOWHERE}", 80), timeout=0.01)
    except Exception:
        pass

def test_plain():
    reach()

def test_fixture(tierwise_forbid_network):
    reach()

def test_nothing():
    pass
"""


def run_pytest(folder: Path, *options: str) -> str:
    (folder / "test_it.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tierwise.testing.plugin",
        "--rootdir",
        str(folder),
        *options,
    ]
    # Whether the entry point is installed here or not, the plugin is loaded once.
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    return done.stdout + done.stderr


def test_the_plugin_is_inert_until_it_is_asked(tmp_path: Path) -> None:
    out = run_pytest(tmp_path)
    assert "1 failed, 2 passed" in out
    assert f"NetworkForbiddenError: a test tried to reach {NOWHERE}:80" in out
    assert "FAILED test_it.py::test_fixture" in out


def test_the_plugin_forbids_all_tests_if_the_settings_say_so(tmp_path: Path) -> None:
    assert "2 failed, 1 passed" in run_pytest(tmp_path, "-o", "tierwise_forbid_network=true")


def test_the_plugin_loads_nothing_heavy() -> None:
    code = (
        "import sys, pytest; import tierwise.testing.plugin as p; "
        "print(sorted({'pydantic', 'httpx', 'jsonschema', 'sqlite3', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
