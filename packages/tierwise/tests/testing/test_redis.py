"""The Redis server of tests: a real one, that comes and goes as a test says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Lost
from redis.retry import Retry
from tierwise.errors import ConfigError
from tierwise.testing.redis import RedisServer

ONCE = Retry(NoBackoff(), 0)


def test_it_comes_empty_and_goes(tierwise_redis: str) -> None:
    with RedisServer() as server:
        assert server.url != tierwise_redis
        with Redis(port=server.port, retry=ONCE) as client:
            client.set("a", "b")
            server.stop()
            with pytest.raises(Lost):
                client.get("a")
            server.start()
            assert client.get("a") is None
    with pytest.raises(Lost), Redis(port=server.port, retry=ONCE) as client:
        client.get("a")


def test_without_the_program_it_says_how_to_get_it() -> None:
    with pytest.raises(ConfigError, match="apt-get install redis-server, or brew install redis"):
        RedisServer("no-such-server")


def test_a_server_that_does_not_come_up_says_why(tierwise_redis: str) -> None:
    class Broken(RedisServer):
        settings = (*RedisServer.settings, "--no-such-setting", "1")

    with pytest.raises(RuntimeError, match="no-such-setting"), Broken():
        pass


@pytest.mark.parametrize(("ci", "counted"), [("", "1 skipped"), ("true", "1 error")])
def test_without_the_program_a_test_is_skipped_and_fails_in_ci(tmp_path: Path, ci: str, counted: str) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(tierwise_redis): pass")
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"]
    environment = os.environ | {"PATH": str(tmp_path), "CI": ci}
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert counted in ran.stdout
    assert "apt-get install redis-server" in ran.stdout
