"""State on a Redis server, for many machines."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Sequence
from importlib.resources import files
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tierwise.errors import ConfigError, MissingExtraError, StateError
from tierwise.figures import check_figure
from tierwise.state.base import completed, in_thread
from tierwise.state.claims import Balance, Claim, Denied, Granted, Observed, Taken
from tierwise.state.once import Once
from tierwise.state.shared import KEPT_SECONDS, WEIGHT, Averages, Session, SharedState, storable
from tierwise.state.wire import averages, balance, kept_once, kept_session, outcome, reservation, settlement

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio.cluster import RedisCluster as AsyncRedisCluster
    from redis.cluster import RedisCluster

__all__ = ["RedisState"]

_CONNECTIONS = 32
"""The most connections to the server, of threads together and of each event loop."""


class RedisState(SharedState):
    """State on a Redis or Valkey server: budgets, rates and circuits that all machines share.

    Each operation is a script that the server runs, in one round trip, by the server's own clock. All keys begin with
    the prefix in braces, so that they are in one slot of a cluster; they expire, but for accounts that are kept for
    ever. The server must not evict keys (`maxmemory-policy noeviction`): what is spent would be forgotten.

    Every event loop has connections of its own, which are closed when it ends. Use the state as a context manager, or
    `close` it.

    Args:
        server: The server's URL (`redis://`, `rediss://` with TLS, `unix://`), or a client that is set up already.
        async_client: The asyncio twin of such a client; without it, async calls ask the client in threads.
        prefix: What the keys begin with: states with different prefixes know nothing of each other.
        wait: Seconds that connecting, and an answer, may take each; then it is a `StateError`. A client has its own.
        fresh: Seconds for which what was read of sessions and of how models have done is not read anew.
        brief: Seconds that such a reading may wait; then what was last heard holds.
        clock: Gives the seconds in the server's place, the same in every process; for tests.

    Raises:
        ConfigError: The URL cannot be read, or a setting has a value that it cannot have.
        MissingExtraError: The `redis` package is not installed.
    """

    def __init__(
        self,
        server: str | Redis | RedisCluster,
        *,
        async_client: AsyncRedis | AsyncRedisCluster | None = None,
        prefix: str = "tierwise",
        wait: float = 2.0,
        fresh: float = 1.0,
        brief: float = 0.1,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not isinstance(server, str) and not callable(getattr(server, "evalsha", None)):
            raise ConfigError(
                f"server must be the URL of a Redis server, or a client, and not of {type(server)}", setting="server"
            )
        check_figure("wait", wait)
        super().__init__(fresh=fresh, brief=brief)
        self._url = server if isinstance(server, str) else None
        self._wait = wait
        self._clock = clock
        self._script = _Script(f"{{{prefix}}}:leases")
        self._client = _connected(server, wait) if isinstance(server, str) else server
        self._quick = _connected(server, brief) if isinstance(server, str) else server
        self._async_client = async_client
        self._async_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClient] = (
            weakref.WeakKeyDictionary()
        )
        self._opening = threading.Lock()
        self._address = _address(self._client)

    def close(self) -> None:
        """Closes the connections of threads, if the state has made them; see `aclose`."""
        if self._url is not None:
            self._client.close()
            self._quick.close()

    async def aclose(self) -> None:
        """Closes the connections of the running event loop too."""
        client = self._async_clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        self.close()

    def __enter__(self) -> RedisState:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> RedisState:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def reserve(
        self,
        call_id: str,
        claims: Sequence[Claim],
        *,
        lease: float,
        least: int = 0,
        most: int = 0,
        wait: float = 0.0,
    ) -> Granted | Denied:
        """See `State`."""
        return outcome(self._do("reserve", reservation(call_id, claims, lease, least, most, wait)))

    def settle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """See `State`."""
        if claims:
            self._heard(observed, self._do("settle", _observing(settlement(call_id, claims, taken), observed)))
        elif observed is not None:
            self.observe(observed)

    def lift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """See `State`."""
        self._do("lift", _lifting(key, cap, keep))

    def balance(self, key: str) -> Balance:
        """See `State`."""
        return balance(self._do("balance", {"key": storable(key)}))

    def begin_once(self, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool = False) -> Once:
        """See `State`."""
        return kept_once(self._do("begin_once", _beginning(key, fingerprint, run_id, lease, again)))

    def end_once(self, key: str, run_id: str, body: str | None, *, keep: float) -> None:
        """See `State`."""
        self._do("end_once", _ending(key, run_id, body, keep))

    async def areserve(
        self,
        call_id: str,
        claims: Sequence[Claim],
        *,
        lease: float,
        least: int = 0,
        most: int = 0,
        wait: float = 0.0,
    ) -> Granted | Denied:
        """See `State`."""
        return outcome(await self._ado("reserve", reservation(call_id, claims, lease, least, most, wait)))

    async def asettle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """See `State`."""
        told = _observing(settlement(call_id, claims, taken), observed)
        if claims:
            self._heard(observed, await self._ado("settle", told))
        elif observed is not None and not self._outage.lasts:
            with self._outage:
                self._heard(observed, await self._ado("observe", told))

    async def alift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """See `State`."""
        await self._ado("lift", _lifting(key, cap, keep))

    async def abalance(self, key: str) -> Balance:
        """See `State`."""
        return balance(await self._ado("balance", {"key": storable(key)}))

    async def abegin_once(self, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool = False) -> Once:
        """See `State`."""
        return kept_once(await self._ado("begin_once", _beginning(key, fingerprint, run_id, lease, again)))

    async def aend_once(self, key: str, run_id: str, body: str | None, *, keep: float) -> None:
        """See `State`."""
        await self._ado("end_once", _ending(key, run_id, body, keep))

    def _ask_session(self, session: str) -> Session | None:
        return kept_session(self._do("session", {"session": storable(session)}, brief=True))

    def _tell_session(self, session: str, tier: str, prompt_tokens: int) -> None:
        told = {"session": storable(session), "tier": tier, "tokens": prompt_tokens, "kept": KEPT_SECONDS}
        self._do("keep_session", told, brief=True)

    def _ask_model(self, model: str) -> Averages:
        return averages(self._do("averages", {"model": storable(model)}, brief=True))

    def _ask_circuit(self, circuit: str) -> float | None:
        said = self._do("circuit", {"key": storable(circuit)}, brief=True)
        return float(said[0]) if said else None

    def _tell_observed(self, observed: Observed) -> Averages:
        return averages(self._do("observe", _observing({}, observed), brief=True))

    def _heard(self, observed: Observed | None, reply: Any) -> None:
        if observed is not None:
            self._models.put(observed.model, averages(reply))

    def _do(self, operation: str, told: dict[str, Any], *, brief: bool = False) -> Any:
        from redis.exceptions import NoScriptError

        client = self._quick if brief else self._client
        script, args = self._script, self._arguments(operation, told)
        try:
            try:
                return client.evalsha(script.sha, 1, *args)
            except NoScriptError:
                return client.eval(script.text, 1, *args)
        except _failures() as error:
            raise self._error(error) from error

    async def _ado(self, operation: str, told: dict[str, Any]) -> Any:
        if self._url is None and self._async_client is None:
            return await in_thread(self._do, operation, told)
        return await completed(self._asked(operation, told))

    async def _asked(self, operation: str, told: dict[str, Any]) -> Any:
        from redis.exceptions import NoScriptError

        script, args = self._script, self._arguments(operation, told)
        try:
            client = self._async_client or await self._loop_client()
            try:
                return await client.evalsha(script.sha, 1, *args)
            except NoScriptError:
                return await client.eval(script.text, 1, *args)
        except _failures() as error:
            raise self._error(error) from error

    def _arguments(self, operation: str, told: dict[str, Any]) -> tuple[str, str, str, str]:
        now = "" if self._clock is None else repr(float(self._clock()))
        return self._script.key, operation, now, json.dumps(told)

    def _error(self, error: Exception) -> StateError:
        return StateError(f"state at {self._address}: {str(error) or type(error).__name__}{_mend(error)}")

    async def _loop_client(self) -> AsyncRedis:
        loop = asyncio.get_running_loop()
        client = self._async_clients.get(loop)
        if client is None:
            client = _LoopClient(self._url or "", self._wait)
            with self._opening:
                client = self._async_clients.setdefault(loop, client)
        return await client.get()


class _Script:
    """The script, and the key that says where it runs."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.text = files("tierwise.state").joinpath("rules.lua").read_text(encoding="utf-8")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


class _LoopClient:
    """The client of one event loop. It lives in an async generator, because loops close those when they end."""

    def __init__(self, url: str, wait: float) -> None:
        self._made = self._make(url, wait)
        self._client: AsyncRedis | None = None

    async def get(self) -> AsyncRedis:
        """The client; made on the first call."""
        if self._client is None:
            self._client = await anext(self._made)
        return self._client

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._made.aclose()

    @staticmethod
    async def _make(url: str, wait: float) -> AsyncGenerator[AsyncRedis]:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry

        client = Redis.from_pool(_pool(BlockingConnectionPool, url, wait, Retry))
        try:
            yield client
        finally:
            await client.aclose()


def _connected(url: str, wait: float) -> Redis:
    """A client that connects when it is first used."""
    try:
        from redis import BlockingConnectionPool, Redis
        from redis.retry import Retry
    except ImportError as error:
        raise MissingExtraError("RedisState", "tierwise[redis]") from error
    try:
        return Redis.from_pool(_pool(BlockingConnectionPool, url, wait, Retry))
    except ValueError:
        # The library's own message may quote a part of the URL, in which there may be a password.
        raise ConfigError(
            "the state's URL cannot be read: it is redis://[[user]:password@]host[:port][/database], rediss:// for "
            "TLS, or unix://path",
            setting="url",
        ) from None


def _pool(kind: Any, url: str, wait: float, retry: Callable[..., Any]) -> Any:
    """A pool of connections. One that the server has closed meanwhile is opened anew; a slow answer is asked once."""
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Lost

    return kind.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=wait,
        socket_timeout=wait,
        socket_connect_timeout=wait,
        retry=retry(NoBackoff(), 1, supported_errors=(Lost,)),
    )


def _failures() -> tuple[type[Exception], ...]:
    """What a client raises if the server cannot be asked."""
    from redis.exceptions import RedisClusterException, RedisError

    return (RedisError, RedisClusterException, OSError)


def _mend(error: Exception) -> str:
    from redis.exceptions import AuthenticationError, ResponseError

    if isinstance(error, AuthenticationError):
        return ": check the user and the password of the URL"
    return "" if isinstance(error, ResponseError) else ": is the Redis server up?"


def _address(client: Redis | RedisCluster) -> str:
    """Where the server is, without any credential."""
    known: dict[str, Any] | None = getattr(getattr(client, "connection_pool", None), "connection_kwargs", None)
    if known is None:
        return f"a {type(client).__name__}"
    return str(known.get("path") or f"{known.get('host', 'localhost')}:{known.get('port', 6379)}")


def _observing(told: dict[str, Any], observed: Observed | None) -> dict[str, Any]:
    if observed is None:
        return told
    seen: dict[str, Any] = {"model": storable(observed.model), "failed": observed.failed}
    if observed.seconds is not None:
        seen["seconds"] = observed.seconds
    return told | {"observed": seen, "weight": WEIGHT, "kept": KEPT_SECONDS}


def _beginning(key: str, fingerprint: str, run_id: str, lease: float, again: bool) -> dict[str, Any]:
    return {"key": storable(key), "fingerprint": fingerprint, "run": run_id, "lease": lease, "again": again}


def _ending(key: str, run_id: str, body: str | None, keep: float) -> dict[str, Any]:
    told = {"key": storable(key), "run": run_id, "keep": keep}
    return told if body is None else told | {"body": body}


def _lifting(key: str, cap: int, keep: float | None) -> dict[str, Any]:
    told = {"key": storable(key), "cap": str(cap)}
    return told if keep is None else told | {"keep": keep}
