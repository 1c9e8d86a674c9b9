import http.client
import subprocess
import sys
import urllib.request

import pytest
from tierwise_embedded import ServerStartError, spawn
from tierwise_embedded.__main__ import main

PARENT = """
import sys
from tierwise_embedded import spawn
with spawn(["smollm2:135m"]) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/version", timeout=30) as response:
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.mark.models
def test_a_spawned_server_ends_with_its_block() -> None:
    with spawn(["smollm2:135m"]) as server:
        assert answers(server.url)
    assert not answers(server.url)


@pytest.mark.models
def test_a_spawned_server_ends_when_its_parent_is_killed() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert answers(url)
        parent.kill()
    for _ in range(100_000):
        if not answers(url):
            break
    assert not answers(url)


def test_a_server_that_cannot_start_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServerStartError, match="status 1"), spawn(["nope:1b"]):
        raise AssertionError("it did start")
    assert "'nope:1b' cannot be embedded" in capfd.readouterr().err


def test_list_names_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "smollm2:135m",
        "qwen2.5-coder:0.5b",
        "qwen2.5-coder:1.5b",
    ]
