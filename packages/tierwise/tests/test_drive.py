"""The four drivers, one set of rules."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from tierwise import Router, Task
from tierwise.attempt import Attempt, Chunk, Outcome, Show
from tierwise.errors import (
    AllModelsFailedError,
    CallTimeoutError,
    DeadlineError,
    FlowError,
    TrustError,
    UnavailableError,
)
from tierwise.flow import Flow, Stated, call, gather, note
from tierwise.strategies import (
    Cascade,
    Single,
    Strategy,
    Vote,
)
from tierwise.testing import HANG, ScriptedBackend, Step, Stream

from .driving import (
    DOWN,
    FLEET,
    Counting,
    Driver,
    ReturnsFailure,
    Stop,
    Stopwatch,
    every_driver,
    every_stream,
    gate,
    nothing_is_held,
    router,
    sure,
)

# Contexts, threads and loops.

REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


@every_driver
def test_context_variables_reach_every_call(drive: Driver) -> None:
    seen: list[str] = []

    def step(attempt: Attempt) -> Step:
        seen.append(REQUEST.get())
        return "1"

    token = REQUEST.set("mine")
    try:
        drive(router(ScriptedBackend({"*": step}), Vote(["small", "medium", "large"])), Task("q"))
        drive(router(ScriptedBackend({"*": step}), Cascade(sure, gate=gate)), Task("q"))
    finally:
        REQUEST.reset(token)
    assert len(seen) >= 4
    assert set(seen) == {"mine"}


def test_calls_of_a_sync_batch_run_at_once() -> None:
    meet = threading.Barrier(3, timeout=60)

    def step(attempt: Attempt) -> Step:
        meet.wait()
        return "1"

    backend = ScriptedBackend({"*": step})
    assert router(backend, Vote(["small", "medium", "large"])).run("q").status == "verified"
    assert backend.peak_open_calls == 3


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_where_the_machine_has_no_thread_left_nothing_stays_set_aside(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, start, failed = iter(range(threads)), threading.Thread.start, threading.Event()

    def started(thread: threading.Thread) -> None:
        if thread.name.startswith("tierwise") and next(left, None) is None:
            failed.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    def step(attempt: Attempt) -> Step:
        failed.wait(60)
        return "1"

    monkeypatch.setattr(threading.Thread, "start", started)
    limit = Counting()
    made = router(ScriptedBackend({"*": step}), Vote(["small", "medium", "large"]), limits=[limit])
    with pytest.raises(RuntimeError, match="can't start new thread"):
        made.run("q")
    assert len(limit.given) == 3
    assert limit.is_balanced()
    assert nothing_is_held(made)


async def test_calls_of_an_async_batch_run_at_once() -> None:
    backend = ScriptedBackend({"*": "1"})
    await router(backend, Vote(["small", "medium", "large"])).arun("q")
    assert backend.peak_open_calls == 3


async def test_sync_drivers_work_inside_a_running_loop() -> None:
    made = router(ScriptedBackend({"*": "1"}), Vote(["small", "medium", "large"]))
    assert made.run("q").text == "1"
    with made.stream("q") as stream:
        assert [c.text for c in stream] == ["1"]


async def test_a_run_can_be_called_from_many_tasks_at_once() -> None:
    made = router(ScriptedBackend({"*": "good"}), Cascade(sure))
    replies = await asyncio.gather(*(made.arun(f"task {i}") for i in range(20)))
    assert {len(r.attempts) for r in replies} == {1}


# Errors: what a flow may see, and what passes through.


class Interrupt(Exception):
    """A framework's control-flow exception."""


@every_driver
@pytest.mark.parametrize("strategy", [Single(), Cascade(sure), Vote(["small", "medium", "large"])])
@pytest.mark.parametrize("error", [Interrupt("control flow"), KeyError("defect"), Stop()])
def test_control_flow_and_defects_pass_by_class_and_are_no_outcomes(
    drive: Driver, strategy: Strategy, error: BaseException
) -> None:
    backend = ScriptedBackend({"*": "1", "medium": error, "small": error})
    limit = Counting()
    with pytest.raises(type(error)) as caught:
        drive(router(backend, strategy, limits=[limit]), Task("q"))
    assert caught.value is error
    assert limit.is_balanced()


@every_driver
def test_of_a_batch_the_error_itself_is_raised_with_its_cause(drive: Driver) -> None:
    cause = ValueError("cause")
    error = Interrupt("out")
    error.__cause__ = cause
    with pytest.raises(Interrupt) as caught:
        drive(router(ScriptedBackend({"*": "1", "medium": error}), Vote(["small", "medium", "large"])), Task("q"))
    assert caught.value.__cause__ is cause


async def test_one_error_in_a_batch_cancels_the_others_and_settles_every_row() -> None:
    backend = ScriptedBackend({"small": HANG, "large": HANG, "medium": Interrupt("out")})
    limit = Counting()
    with pytest.raises(Interrupt):
        await router(backend, Vote(["small", "medium", "large"]), limits=[limit]).arun("q")
    assert (backend.open_calls, backend.cut_calls) == (0, 2)
    assert [type(r.settled[0].error).__name__ for r in limit.given] == ["CancelledError", "Interrupt", "CancelledError"]


@every_driver
def test_all_models_failing_raises_one_error_that_lists_each_attempt_and_its_cause(drive: Driver) -> None:
    got = drive(router(ScriptedBackend({"*": DOWN}), Cascade(sure)), Task("q"))
    assert isinstance(got.error, AllModelsFailedError)
    for name in ("small", "spare", "medium", "large"):
        assert f"x:{name}: UnavailableError: down" in str(got.error)
    assert [r.error_type for r in got.rows] == ["UnavailableError"] * 4
    assert {r.cost for r in got.rows} == {0}


@every_driver
def test_a_task_that_no_model_may_see_is_refused_before_any_call(drive: Driver) -> None:
    backend, limit = ScriptedBackend({"*": "x"}), Counting()
    got = drive(router(backend, limits=[limit]), Task("q", trust="local", min_tier="medium"))
    assert isinstance(got.error, TrustError)
    assert (backend.attempts, limit.given) == ([], [])


class Leaky(Strategy):
    """Asks whom it must not."""

    def flow(self, task: Task, context: Any) -> Flow[Outcome]:
        models = [FLEET.find("x:small"), FLEET.find("x:large")]
        return (yield from gather(*(call(Attempt(task, m)) for m in models)))[0]


@every_driver
def test_a_batch_with_a_call_that_may_not_go_sends_none_of_it(drive: Driver) -> None:
    backend, limit = ScriptedBackend({"*": "x"}), Counting()
    got = drive(router(backend, Leaky(), limits=[limit]), Task("q", trust="local"))
    assert isinstance(got.error, TrustError)
    assert backend.attempts == []
    assert limit.is_balanced()


# Deadlines.


@every_driver
@pytest.mark.parametrize("script", [HANG, Stream("one", HANG)])
def test_a_deadline_ends_the_run(drive: Driver, script: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    backend, limit = ScriptedBackend({"*": Stopwatch(monkeypatch).starts(script)}), Counting()
    got = drive(router(backend, limits=[limit]), Task("q", deadline=0.05))
    assert isinstance(got.error, DeadlineError)
    assert got.text in ("", "one")
    assert backend.open_calls == 0
    assert limit.is_balanced()
    assert len(got.rows) == 1


@every_driver
def test_a_deadline_is_told_from_a_timeout_of_the_backends_own(drive: Driver) -> None:
    backend = ScriptedBackend({"small": CallTimeoutError("slow"), "spare": TimeoutError(), "medium": "good"})
    got = drive(router(backend), Task("q", deadline=60))
    assert got.answer is not None
    assert got.answer[3] == "medium"


@every_driver
def test_a_deadline_holds_even_if_the_backend_calls_no_timeout_a_failure(drive: Driver) -> None:
    backend = ScriptedBackend({"*": HANG}, failures=(UnavailableError, CallTimeoutError))
    assert isinstance(drive(router(backend), Task("q", deadline=0.05)).error, DeadlineError)


async def test_a_deadline_covers_the_opening_of_a_stream() -> None:
    @asynccontextmanager
    async def never() -> AsyncGenerator[AsyncIterator[Chunk]]:
        await asyncio.Event().wait()
        raise AssertionError
        yield

    class Slow(ScriptedBackend):
        def aopen(self, attempt: Attempt) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
            return never()

    async with router(Slow({"*": "x"})).astream("q", deadline=0.05) as stream:
        with pytest.raises(DeadlineError):
            await anext(aiter(stream))


@every_driver
def test_later_calls_have_what_is_left_of_the_deadline(drive: Driver) -> None:
    def step(attempt: Attempt) -> Step:
        time.sleep(0.01)
        return DOWN

    backend = ScriptedBackend({"*": step})
    drive(router(backend), Task("q", deadline=60))
    left = [a.timeout for a in backend.attempts]
    assert None not in left
    assert left == sorted(left, key=lambda seconds: -(seconds or 0))
    assert (left[0] or 0) < 60


# Flows that break the rules.


class AsksOn(Strategy):
    def flow(self, task: Task, context: Any) -> Flow[Outcome]:
        yield from call(Attempt(task, FLEET.find("x:small"), show=Show.LIVE))
        return (yield from call(Attempt(task, FLEET.find("x:large"))))


class ReturnsAnother(Strategy):
    def flow(self, task: Task, context: Any) -> Flow[Outcome]:
        held = yield from call(Attempt(task, FLEET.find("x:small")))
        yield from call(Attempt(task, FLEET.find("x:large"), show=Show.LIVE))
        return held


class ShowsTwo(Strategy):
    def flow(self, task: Task, context: Any) -> Flow[Outcome]:
        a, _ = yield (Attempt(task, FLEET.find("x:small"), show=Show.LIVE), Attempt(task, FLEET.find("x:large")))
        return a


@every_driver
@pytest.mark.parametrize("strategy", [AsksOn(), ReturnsAnother(), ShowsTwo()])
def test_a_strategy_that_breaks_a_rule_is_a_defect_and_says_which(drive: Driver, strategy: Strategy) -> None:
    limit = Counting()
    got = drive(router(ScriptedBackend({"*": "x"}), strategy, limits=[limit]), Task("q"))
    assert isinstance(got.error, FlowError)
    assert limit.is_balanced()


@every_driver
def test_a_failed_outcome_is_never_an_answer(drive: Driver) -> None:
    got = drive(router(ScriptedBackend({"*": DOWN}), ReturnsFailure()), Task("q"))
    assert isinstance(got.error, AllModelsFailedError)


def test_a_backend_cannot_say_that_something_was_shown() -> None:
    def lying(attempt: Attempt) -> Outcome:
        return Outcome(attempt, text="x", committed=True)

    made = Router(FLEET, strategy=ReturnsFailure(), backends={"x": lying})
    with made.stream("q") as stream:
        assert [c.text for c in stream] == ["x"]


class Rebuilds(Strategy):
    def flow(self, task: Task, context: Any) -> Flow[Outcome]:
        shown = yield from call(Attempt(task, FLEET.find("x:small"), show=Show.LIVE))
        return Outcome(shown.attempt, text=shown.text)


@every_stream
def test_an_answer_that_was_shown_is_not_shown_again(drive: Driver) -> None:
    assert drive(router(ScriptedBackend({"*": "once only"}), Rebuilds()), Task("q")).text == "once only"


def test_notes_after_a_shown_answer_are_taken() -> None:
    class Talks(Strategy):
        def flow(self, task: Task, context: Any) -> Flow[Outcome]:
            outcome = yield from call(Attempt(task, FLEET.find("x:small"), show=Show.LIVE))
            yield from note(Stated("done"))
            return outcome

    assert router(ScriptedBackend({"*": "x"}), Talks()).run("q").statements[0].text == "done"
