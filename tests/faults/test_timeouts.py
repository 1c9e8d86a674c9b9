"""Four waits, each with a limit and a name of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tierwise import Fleet, ModelSpec, Price, Single, Tier
from tierwise.errors import AllModelsFailedError, CallTimeoutError, DeadlineError, StreamBrokenError
from tierwise.testing.provider import Reply
from tierwise_ollama import OllamaBackend

from .scene import STREAMED, Scene, Way

LARGE = Reply(text="Large.")


def phases(error: BaseException | None) -> list[str]:
    """What the calls of a run waited for in vain."""
    assert isinstance(error, AllModelsFailedError)
    causes = [outcome.error for outcome in error.outcomes]
    return [cause.phase for cause in causes if isinstance(cause, CallTimeoutError)]


@pytest.fixture
def full() -> Iterator[str]:
    """An address whose queue of connections is full, so that connecting to it takes for ever."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for client in waiting:
            client.close()


def asked(scene: Scene, way: Way, **timeouts: float) -> Any:
    """The small model has little time, the large one has enough on any machine."""
    scene.provider.on("large", LARGE)
    fleet = Fleet([Tier(name, ModelSpec(f"{name}:{name}", price=Price(1, 1))) for name in ("small", "large")])
    backends = {"small": scene.backend(timeouts=timeouts), "large": scene.backend()}
    return scene.ask(scene.router(fleet=fleet, strategy=Single(), backends=backends), way=way)


def test_fault_09_no_connection(scene: Scene, way: Way, full: str) -> None:
    scene.provider.on("large", LARGE)
    fleet = scene.fleet("small", "large")
    backend = OllamaBackend(full, timeouts={"connect": 0.2})
    router = scene.router(fleet=fleet, strategy=Single(), backends={"ollama": backend})
    got = scene.ask(router, way=way)
    scene.unreached = 2
    assert [row.error_type for row in got.rows] == [CallTimeoutError.__name__] * 2
    assert "(connect)" in (got.rows[0].error or "")
    assert phases(got.error) == ["connect", "connect"]


@pytest.mark.parametrize("reply", [Reply(stall=True), Reply(stall_after=0)], ids=["no answer", "no token"])
def test_fault_09_no_first_token(scene: Scene, way: Way, reply: Reply) -> None:
    scene.provider.on("small", reply)
    got = asked(scene, way, first_token=0.2)
    assert got.answer.text == "Large."
    assert got.rows[0].error_type == CallTimeoutError.__name__
    assert "(first_token)" in got.rows[0].error


def test_fault_09_silence_between_two_tokens(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text="One two", stall_after=1))
    got = asked(scene, way, idle=0.2)
    if way in STREAMED:
        assert isinstance(got.error, StreamBrokenError)
    else:
        assert got.answer.text == "Large."
    assert got.rows[0].error_type == CallTimeoutError.__name__
    assert "(idle)" in got.rows[0].error


@pytest.mark.parametrize(
    ("reply", "phase"),
    [
        (Reply(stall=True), "first_token"),
        (Reply(stall_after=0), "first_token"),
        (Reply(text="One two", stall_after=1), "idle"),
    ],
    ids=["no answer", "no token", "no more"],
)
@pytest.mark.parametrize("way", ["run", "arun"])
def test_fault_09_a_program_can_tell_which_wait_it_was(scene: Scene, way: Way, reply: Reply, phase: str) -> None:
    scene.provider.on("small", reply)
    backend = scene.backend(timeouts={phase: 0.2})
    got = scene.ask(scene.router("small", strategy=Single(), backends={"ollama": backend}), way=way)
    assert phases(got.error) == [phase]


def test_fault_09_a_slow_stream_is_no_silent_one(scene: Scene, way: Way) -> None:
    text = " ".join(map(str, range(110)))
    scene.provider.on("small", Reply(text=text, chunk_delay=0.02))
    got = asked(scene, way, first_token=2.0, idle=2.0)
    assert got.answer.text == text, "all of it took longer than either limit"


@pytest.mark.parametrize("reply", [Reply(stall=True), Reply(text="One two", stall_after=1)], ids=["first", "idle"])
def test_fault_09_the_deadline_bounds_all_of_it_and_nothing_else_is_tried(scene: Scene, way: Way, reply: Reply) -> None:
    scene.provider.on("small", reply)
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Single()), way=way, deadline=2.0)
    assert isinstance(got.error, DeadlineError)
    scene.provider.wait_until(lambda: [call.client_closed for call in scene.provider.calls] == [True])
    assert scene.models == ["small"]
