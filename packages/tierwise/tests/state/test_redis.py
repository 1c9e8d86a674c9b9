"""The state on a server: the contract, and what only a server can suffer."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.cluster import RedisCluster as AsyncCluster
from redis.cluster import RedisCluster
from tierwise.errors import ConfigError, MissingExtraError, StateError
from tierwise.ids import new_id
from tierwise.state import Balance, Circuit, Granted, Observed, Rate, Signal, Slot, Spend, State
from tierwise.state.redis import RedisState
from tierwise.testing.conformance.state import StateConformance
from tierwise.testing.conformance.state.suite import key, refused, reserved
from tierwise.testing.redis import RedisServer


def port(url: str) -> int:
    return int(url.rpartition(":")[2])


class TestRedisState(StateConformance):
    @pytest.fixture
    def state(self, tierwise_redis: str) -> Iterator[State]:
        with RedisState(tierwise_redis, prefix=new_id(), wait=60, brief=60) as state:
            yield state


class TestRedisStateOfAClient(StateConformance):
    """A client that the user made; async calls go through it in threads."""

    @pytest.fixture
    def state(self, tierwise_redis: str) -> Iterator[State]:
        with Redis(port=port(tierwise_redis)) as client:
            yield RedisState(client, prefix=new_id())


CLAIM = Spend("account", cap=100, amount=60)


@pytest.fixture
def prefix() -> str:
    return new_id()


@pytest.fixture
def state(tierwise_redis: str, prefix: str) -> Iterator[RedisState]:
    with RedisState(tierwise_redis, prefix=prefix, fresh=0, wait=60, brief=60) as state:
        yield state


@pytest.fixture
def client(tierwise_redis: str) -> Iterator[Any]:
    with Redis(port=port(tierwise_redis), decode_responses=True) as client:
        yield client


def test_two_clients_are_one_state(state: RedisState, tierwise_redis: str, prefix: str) -> None:
    with RedisState(tierwise_redis, prefix=prefix, fresh=0, brief=60) as other:
        call_id = reserved(state, CLAIM)
        assert other.balance("account") == Balance(0, 60)
        other.settle(call_id, [CLAIM], [50], Observed("a:m", 1.5, failed=True))
        assert state.balance("account") == Balance(50)
        assert (state.latency("a:m"), state.error_rate("a:m")) == (1.5, pytest.approx(1.0, abs=0.1))
        state.keep_session("user", "small", 7)
        assert other.session_tier("user") == ("small", 7)
        assert 0 <= (other.session_idle("user") or 0) < 60


async def test_a_client_and_its_async_twin(tierwise_redis: str, prefix: str) -> None:
    with Redis(port=port(tierwise_redis), decode_responses=True) as client:
        async with AsyncRedis(port=port(tierwise_redis)) as async_client:
            state = RedisState(client, async_client=async_client, prefix=prefix)
            assert await state.areserve("call", [CLAIM], lease=60) == Granted(0)
            state.keep_session("user", "small", 7)
            assert (state.session_tier("user"), state.balance("account")) == (("small", 7), Balance(0, 60))


def test_figures_beyond_what_a_double_holds_are_exact(state: RedisState) -> None:
    huge = 2**62 + 1
    claim = Spend("account", cap=huge + 10, amount=2**52 + 1, each=1)
    state.settle(reserved(state, claim), [claim], [huge])
    assert state.balance("account") == Balance(huge)
    assert state.reserve("all", [Spend("account", cap=huge + 10, amount=3, each=2)], lease=60, most=9) == Granted(3)
    assert refused(state, Spend("account", cap=huge + 10, amount=2)).cap == huge + 10
    reserved(state, Spend("account", cap=huge + 10, amount=1))
    state.lift("account", 10**30)
    assert state.balance("account") == Balance(huge, 10, 10**30)
    with pytest.raises(ConfigError, match="smaller output cap"):
        reserved(state, Spend("account", cap=10**30, amount=2**53 + 1))


def test_odd_keys(state: RedisState) -> None:
    for name in ("", "a\0b", "\udc80", "{x}:y\n", "ä" * 1_000, "%s %d"):
        claims = [Spend(name, cap=9, amount=1), Slot(name, size=9)]
        state.settle(reserved(state, *claims), claims, [1, None])
        assert state.balance(name) == Balance(1)
        state.keep_session(name, "small", 1)
        assert state.session_tier(name) == ("small", 1)


def test_nothing_is_left_for_ever_but_accounts_that_are_to_be(state: RedisState, client: Any, prefix: str) -> None:
    circuit = Circuit("c", failures=1, cooldown=60, longest=60)
    claims = [CLAIM, Spend("run", cap=9, amount=1, keep=60), Slot("s", size=9), Rate("r", limit=9, period=60), circuit]
    reserved(state, *claims, lease=5)
    state.settle(reserved(state, *claims[1:]), claims[1:], [1, None, 1, Signal("bad")], Observed("m", 1.0))
    state.keep_session("user", "small", 1)
    names: list[str] = list(client.scan_iter(f"{{{prefix}}}:*"))
    assert len(names) == 11
    assert [name for name in names if client.ttl(name) == -1] == [f"{{{prefix}}}:account:account"]


def test_a_kept_account_outlives_what_is_set_aside_of_it(state: RedisState, client: Any, prefix: str) -> None:
    reserved(state, Spend("run", cap=9, amount=1, keep=1), lease=600)
    reserved(state, Spend("run", cap=9, amount=1, keep=1), lease=5)
    assert client.ttl(f"{{{prefix}}}:account:run") > 500


def test_each_operation_is_one_round_trip(state: RedisState, client: Any, prefix: str) -> None:
    state.balance("account")

    def commands() -> int:
        """Without those that the script itself runs."""
        calls: dict[str, dict[str, int]] = client.info("commandstats")
        return sum(calls.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval", "multi", "watch"))

    claims = [CLAIM, Slot("s", size=9), Rate("r", limit=9, period=60), Circuit("c", failures=1, cooldown=1, longest=9)]
    before = commands()
    call_id = reserved(state, *claims)
    assert commands() == before + 1
    state.settle(call_id, claims, [1, None, 1, Signal("bad")], Observed("m", 1.0))
    assert commands() == before + 2


def test_policies_ask_no_more_than_once_in_a_while(tierwise_redis: str, prefix: str, client: Any) -> None:
    with RedisState(tierwise_redis, prefix=prefix, fresh=60, wait=60, brief=60) as state:
        state.keep_session("user", "small", 7)
        state.latency("a:m")
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        for _ in range(100):
            assert state.session_tier("user") == ("small", 7)
            assert (state.latency("a:m"), state.error_rate("a:m")) == (None, None)
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before


def test_a_server_that_forgot_the_script_is_told_again(state: RedisState, client: Any) -> None:
    reserved(state, CLAIM)
    client.script_flush()
    assert state.balance("account") == Balance(0, 60)
    client.script_flush()
    assert asyncio.run(state.abalance("account")) == Balance(0, 60)


def test_every_event_loop_has_its_own_connections_and_closes_them(state: RedisState, client: Any) -> None:
    async def many() -> None:
        claims = [Spend("account", cap=40, amount=1)]
        said = await asyncio.gather(*(state.areserve(new_id(), claims, lease=60) for _ in range(100)))
        granted.append(sum(isinstance(one, Granted) for one in said))

    granted: list[int] = []
    before = len(client.client_list())
    threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    asyncio.run(many())
    for thread in threads:
        thread.join()
    assert sum(granted) == 40
    deadline = time.monotonic() + 60
    while len(client.client_list()) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(client.client_list()) <= before


async def test_it_can_be_closed_within_a_loop(tierwise_redis: str) -> None:
    async with RedisState(tierwise_redis, prefix=new_id()) as state:
        assert await state.abalance(key()) == Balance()


# What goes wrong


async def test_a_server_that_is_lost_is_an_error_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    with lent() as server, RedisState(server.url, fresh=0, wait=60) as state:
        state.keep_session("user", "small", 1)
        reserved(state, CLAIM)
        assert await state.abalance("account") == Balance(0, 60)
        server.stop()
        for _ in range(2):
            with pytest.raises(StateError, match=f"127.0.0.1:{server.port}.*is the Redis server up"):
                reserved(state, CLAIM)
            with pytest.raises(StateError, match=f"127.0.0.1:{server.port}"):
                await state.abalance("account")
        # What only policies ask for is no reason to fail: it is answered from what was last heard.
        assert state.session_tier("user") == ("small", 1)
        state.observe(Observed("a:m", 1.0))
        server.start()
        reserved(state, CLAIM)
        assert await state.abalance("account") == Balance(0, 60)
        await state.aclose()
    assert [r.levelno for r in caplog.records if r.name == "tierwise.state"] == [logging.WARNING]


def test_a_server_that_falls_silent_is_left_in_its_time(tierwise_redis: str, client: Any) -> None:
    with RedisState(tierwise_redis, prefix=new_id(), wait=1.0) as state:
        reserved(state, CLAIM)
        # Only scripts and what writes are held up: so the pause can be ended, whenever that is.
        client.client_pause(600_000, all=False)
        try:
            with pytest.raises(StateError, match=r"[Tt]imeout"):
                reserved(state, CLAIM)
        finally:
            client.client_unpause()
        assert state.balance("account").reserved >= 60


def asked(url: str) -> Balance:
    with RedisState(url) as state:
        return state.balance("account")


def test_no_credential_is_in_a_message(tierwise_redis: str) -> None:
    host = tierwise_redis.removeprefix("redis://")
    texts: list[str] = []
    for url in ("redis://ann:canary@127.0.0.1:1", f"redis://ann:canary@{host}", "redis://:can/ary@127.0.0.1:1"):
        with pytest.raises((StateError, ConfigError)) as raised:
            asked(url)
        texts += [str(raised.value), repr(raised.value.__cause__), repr(raised.value.__context__)]
    assert not any("canary" in text or "ary" in text.split() for text in texts)


def test_a_wrong_password_is_told_from_a_server_that_is_down(tierwise_redis: str) -> None:
    url = tierwise_redis.replace("redis://", "redis://ann:canary@")
    with RedisState(url) as state, pytest.raises(StateError, match="check the user and the password") as raised:
        state.balance("account")
    assert "canary" not in str(raised.value)


def test_a_server_that_is_full_says_so(state: RedisState, client: Any) -> None:
    reserved(state, CLAIM)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StateError, match="maxmemory"):
            reserved(state, Slot("s", size=9))
    finally:
        client.config_set("maxmemory", 0)
    assert state.balance("account") == Balance(0, 60)


@pytest.mark.parametrize("wrong", [{"server": None}, {"wait": 0}, {"wait": "2"}], ids=str)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    (setting,) = wrong
    given: dict[str, Any] = {"server": "redis://localhost"} | wrong
    with pytest.raises(ConfigError) as caught:
        RedisState(**given)
    assert caught.value.setting == setting


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtraError, match=r'pip install "tierwise\[redis\]"'):
        RedisState("redis://localhost")


def lent() -> RedisServer:
    """A server of the test's own, which it may stop."""
    try:
        return RedisServer()
    except ConfigError as error:
        pytest.skip(str(error))  # where this is a failure, the other tests have failed already


class Cluster(RedisServer):
    """One node that has all slots."""

    settings = (*RedisServer.settings, "--cluster-enabled", "yes")

    def start(self) -> None:
        super().start()
        with Redis(port=self.port, decode_responses=True) as connected:
            client: Any = connected
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while "cluster_state:ok" not in str(client.execute_command("CLUSTER", "INFO")):
                time.sleep(0.01)


async def test_a_cluster_keeps_a_state_in_one_slot(tierwise_redis: str) -> None:
    claims = [CLAIM, Slot("s", size=9), Rate("r", limit=9, period=60), Circuit("c", failures=1, cooldown=1, longest=9)]
    with Cluster() as server, RedisCluster(host="127.0.0.1", port=server.port) as client:
        async with AsyncCluster(host="127.0.0.1", port=server.port) as async_client:
            state = RedisState(client, async_client=async_client)
            call_id = reserved(state, *claims)
            await state.asettle(call_id, claims, [50, None, 1, Signal("good")], Observed("a:m", 1.0))
            assert (state.balance("account"), state.latency("a:m")) == (Balance(50), 1.0)
            server.stop()
            with pytest.raises(StateError, match="a RedisCluster"):
                state.balance("account")


def in_the_child(state: RedisState) -> None:
    reserved(state, CLAIM)
    assert asyncio.run(state.abalance("account")) == Balance(0, 120, 1_000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_with_the_state(state: RedisState) -> None:
    state.lift("account", 1_000)
    reserved(state, CLAIM)
    child = multiprocessing.get_context("fork").Process(target=in_the_child, args=(state,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert state.balance("account") == Balance(0, 120, 1_000)
