"""On a Redis server a routed call with every limit asks twice: once to reserve, once to settle."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from tierwise import Budget, CircuitBreaker, Fleet, ModelSpec, Outcome, Price, RateLimit, Router, Single, Tier, Usage
from tierwise.attempt import Attempt
from tierwise.backends import Backend
from tierwise.errors import AllModelsFailedError, UnavailableError
from tierwise.ids import new_id
from tierwise.state import RedisState

MODEL = ModelSpec("x:m", price=Price(1, 2), concurrency=5, requests_per_minute=1_000, tokens_per_minute=1_000_000)
CALLS = 5


class Answers(Backend):
    """Answers, or fails."""

    fails = False

    def call(self, attempt: Attempt) -> Outcome:
        if self.fails:
            raise UnavailableError("it is down", status=500)
        return Outcome(attempt, text="Paris.", usage=Usage(10, 2))

    async def acall(self, attempt: Attempt) -> Outcome:
        return self.call(attempt)


@pytest.fixture
def backend() -> Answers:
    return Answers()


@pytest.fixture
def router(tierwise_redis: str, backend: Answers) -> Generator[Router]:
    """A router with every limit, whose policies have heard all that they ask."""
    limits = [
        Budget(usd=1, per="day", name="ours"),
        Budget(usd=1, tag="user:", name="theirs"),
        Budget(tokens=100_000, per="run"),
        CircuitBreaker(failures=1_000),
        RateLimit(),
    ]
    with RedisState(tierwise_redis, prefix=new_id(), wait=60, fresh=600) as state:
        made = Router(
            Fleet([Tier("only", MODEL)]), strategy=Single(), backends={"x": backend}, limits=limits, state=state
        )
        made.run("What is the capital of France?", tags=["user:ann"])
        yield made


def client(url: str) -> Any:
    return Redis(port=int(url.rpartition(":")[2]), decode_responses=True)


@contextmanager
def counted(url: str) -> Generator[list[str]]:
    """The commands that reach the server meanwhile, without those that its scripts run."""
    commands: list[str] = []
    with client(url) as watching, client(url) as other, watching.monitor() as monitor:
        yield commands
        other.echo("the end")
        while "the end" not in (seen := monitor.next_command())["command"]:
            if seen["client_type"] != "lua":
                commands.append(seen["command"].split()[0].upper())


def asked(commands: list[str]) -> list[str]:
    """Without what a client says of itself when it connects."""
    return [command for command in commands if command not in ("CLIENT", "HELLO", "SELECT")]


def test_a_call_asks_twice(router: Router, tierwise_redis: str) -> None:
    with counted(tierwise_redis) as commands:
        for _ in range(CALLS):
            router.run("What is the capital of France?", tags=["user:ann"])
    assert asked(commands) == ["EVALSHA"] * 2 * CALLS


async def test_a_call_of_an_event_loop_asks_twice(router: Router, tierwise_redis: str) -> None:
    with counted(tierwise_redis) as commands:
        for _ in range(CALLS):
            await router.arun("What is the capital of France?", tags=["user:ann"])
    assert asked(commands) == ["EVALSHA"] * 2 * CALLS


def test_a_streamed_call_asks_twice(router: Router, tierwise_redis: str) -> None:
    with counted(tierwise_redis) as commands:
        for _ in range(CALLS):
            with router.stream("What is the capital of France?", tags=["user:ann"]) as stream:
                assert "".join(chunk.text for chunk in stream) == "Paris."
    assert asked(commands) == ["EVALSHA"] * 2 * CALLS


def test_a_call_that_fails_asks_twice(router: Router, backend: Answers, tierwise_redis: str) -> None:
    backend.fails = True
    with counted(tierwise_redis) as commands:
        for _ in range(CALLS):
            with pytest.raises(AllModelsFailedError):
                router.run("What is the capital of France?", tags=["user:ann"])
    assert asked(commands) == ["EVALSHA"] * 2 * CALLS


def test_a_refused_call_asks_once(tierwise_redis: str) -> None:
    with RedisState(tierwise_redis, prefix=new_id(), wait=60, fresh=600) as state:
        router = Router(
            Fleet([Tier("only", MODEL)]),
            strategy=Single(),
            backends={"x": Answers()},
            limits=[Budget(tokens=1, on_exhausted="downgrade"), CircuitBreaker()],
            state=state,
        )
        with pytest.raises(AllModelsFailedError):
            router.run("What is the capital of France?")
        with counted(tierwise_redis) as commands, pytest.raises(AllModelsFailedError):
            router.run("What is the capital of France?")
    assert asked(commands) == ["EVALSHA"]
