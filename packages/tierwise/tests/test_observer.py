"""What an observer is told of a run, in which order, and when it may work."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from tierwise import Attempt, Cascade, Outcome, Router, Single, Task
from tierwise.backends import Backend
from tierwise.errors import AllModelsFailedError, ConfigError
from tierwise.flow import Note
from tierwise.ledger import Row
from tierwise.observer import Ending, Unwatched
from tierwise.testing import ScriptedBackend, Stream

from .driving import DOWN, FLEET, Counting, Driver, by_run, every_driver, router, sure


class Log(Unwatched):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.inside = 0
        self.ending: Ending | None = None

    def began(self) -> None:
        self.told.append("began")

    def noted(self, note: Note) -> None:
        self.told.append(type(note).__name__)

    @contextmanager
    def calling(self, attempt: Attempt, backend: Backend, *, streamed: bool) -> Generator[None]:
        name = f"{'streams' if streamed else 'calls'} {attempt.model.name}"
        if self.told[-1] != name:
            self.told.append(name)
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def kept(self, row: Row, outcome: Outcome | None) -> None:
        if outcome is not None or row.state == "refused":
            self.told.append(f"{row.state} {row.model}")

    def ended(self, ending: Ending) -> None:
        self.told.append("ended")
        self.ending = ending


@every_driver
def test_a_run_is_told_as_it_happens(drive: Driver) -> None:
    log = Log()
    backend = ScriptedBackend({"small": "bad one", "medium": "good one"})
    drive(router(backend, Cascade(sure), telemetry=log), Task("q"))
    assert log.told == [
        "began",
        "Decided",
        "calls small",
        "settled x:small",
        "Judged",
        "Moved",
        "calls medium",
        "settled x:medium",
        "Judged",
        "ended",
    ]
    assert log.ending is not None
    assert log.ending.reply is not None
    assert log.ending.reply.text == "good one"
    assert [row.verdict for row in log.ending.receipt.rows] == ["reject", "accept"]
    assert log.ending.error is None


@every_driver
def test_a_call_that_is_refused_is_kept_and_never_made(drive: Driver) -> None:
    log = Log()
    drive(router(ScriptedBackend({"*": "x"}), limits=[Counting("small")], telemetry=log), Task("q"))
    assert "refused x:small" in log.told
    assert "calls small" not in log.told
    assert "streams small" not in log.told


@every_driver
def test_a_run_that_fails_ends_with_its_error(drive: Driver) -> None:
    log = Log()
    drive(router(ScriptedBackend({"*": DOWN}), telemetry=log), Task("q"))
    assert log.told[-1] == "ended"
    assert log.ending is not None
    assert isinstance(log.ending.error, AllModelsFailedError)
    assert log.ending.reply is None
    assert len(log.ending.receipt.rows) == 4


def test_the_consumer_of_a_stream_is_never_inside_the_call() -> None:
    log = Log()
    with router(ScriptedBackend({"small": Stream("a", "b")}), telemetry=log).stream(Task("q")) as stream:
        assert log.told == []
        assert [(chunk.text, log.inside) for chunk in stream if chunk.text] == [("a", 0), ("b", 0)]
    assert log.told.count("streams small") == 1


async def test_the_consumer_of_an_async_stream_is_never_inside_the_call() -> None:
    log = Log()
    async with router(ScriptedBackend({"small": Stream("a", "b")}), telemetry=log).astream(Task("q")) as stream:
        assert [(chunk.text, log.inside) async for chunk in stream if chunk.text] == [("a", 0), ("b", 0)]


def test_a_stream_that_is_left_early_ends_the_run() -> None:
    log = Log()
    with router(ScriptedBackend({"small": Stream("a", "b")}), telemetry=log).stream(Task("q")) as stream:
        next(iter(stream))
    assert log.ending is not None
    assert isinstance(log.ending.error, GeneratorExit)
    assert [row.finish_reason for row in log.ending.receipt.rows] == ["interrupted"]


async def test_a_run_that_is_cancelled_ends_with_that() -> None:
    log = Log()
    waiting = asyncio.Event()

    async def forever(attempt: Attempt) -> Any:
        waiting.set()
        await asyncio.Event().wait()

    made = Router(FLEET, strategy=Single(), backends={"x": forever}, telemetry=log)
    call = asyncio.create_task(made.arun(Task("q")))
    await waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert log.ending is not None
    assert isinstance(log.ending.error, asyncio.CancelledError)


@pytest.mark.parametrize("wrong", [True, "otel", object()])
def test_what_is_no_observer_is_refused_at_start_up(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="telemetry=") as caught:
        router(ScriptedBackend({"*": "x"}), telemetry=wrong)
    assert caught.value.setting == "telemetry"


def test_what_an_observer_raises_stays_with_it(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Log):
        def kept(self, row: Row, outcome: Outcome | None) -> None:
            raise ZeroDivisionError

    log = Broken()
    made = router(ScriptedBackend({"*": "x"}), telemetry=log)
    assert by_run(made, Task("q")).error is None
    assert by_run(made, Task("q")).error is None
    assert log.told.count("ended") == 2
    assert [record.name for record in caplog.records] == ["tierwise"]
