"""A pytest plugin that forbids real calls, and lends servers to make calls to. It does nothing until it is asked to.

- `tierwise_forbid_network = true` in pytest's settings, or `TIERWISE_FORBID_NETWORK=1`: for all tests.
- the fixture `tierwise_forbid_network`: for one test.
- the fixture `tierwise_redis`: the address of a Redis server that is started for the tests.

- the fixture `tierwise_provider`: a scripted provider on this machine, in place of Ollama and of OpenAI.

Only this machine can be reached where calls are forbidden. A test that tries to reach another fails, even if a library
swallowed the error.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tierwise.testing.provider import LoopbackProvider

__all__ = [
    "pytest_addoption",
    "pytest_runtest_call",
    "pytest_runtest_protocol",
    "tierwise_forbid_network",
    "tierwise_provider",
    "tierwise_redis",
]

_SETTING = "tierwise_forbid_network"
_VARIABLE = "TIERWISE_FORBID_NETWORK"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the setting."""
    parser.addini(_SETTING, "Tests may reach this machine only (default: false).", type="bool", default=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Forbids the network around a test and its fixtures, where all tests are to be so."""
    if not (item.config.getini(_SETTING) or os.environ.get(_VARIABLE, "") not in ("", "0")):
        return (yield)
    from tierwise.testing.network import forbidden

    with forbidden() as blocked:
        item.stash[_BLOCKED] = blocked
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fails a test in which a call was refused and nobody said so."""
    result = yield
    blocked = item.stash.get(_BLOCKED, None)
    if blocked:
        from tierwise.testing.network import NetworkForbiddenError

        raise NetworkForbiddenError(blocked[0])
    return result


@pytest.fixture
def tierwise_forbid_network(request: pytest.FixtureRequest) -> Generator[None]:
    """Forbids this test to reach any machine but this one."""
    from tierwise.testing.network import forbidden

    with forbidden() as blocked:
        request.node.stash[_BLOCKED] = blocked
        yield


@pytest.fixture(scope="session")
def tierwise_redis() -> Generator[str]:
    """The URL of a real Redis server, empty at the tests' beginning; one for all tests of the session.

    Without a server's program the test is skipped. In CI (the variable `CI` is set) it fails: nobody reads skips there.
    """
    from tierwise.errors import ConfigError
    from tierwise.testing.redis import RedisServer

    try:
        server = RedisServer()
    except ConfigError as error:
        if os.environ.get("CI", "") not in ("", "0", "false"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    with server:
        yield server.url


@pytest.fixture
def tierwise_provider(monkeypatch: pytest.MonkeyPatch) -> Generator[LoopbackProvider]:
    """A `LoopbackProvider` to which the environment points the clients of Ollama and of OpenAI."""
    from tierwise.testing.provider import LoopbackProvider

    with LoopbackProvider() as provider:
        monkeypatch.setenv("OLLAMA_HOST", provider.url)
        monkeypatch.setenv("OLLAMA_BASE_URL", provider.openai_url)
        monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        yield provider


_BLOCKED = pytest.StashKey[list[str]]()
