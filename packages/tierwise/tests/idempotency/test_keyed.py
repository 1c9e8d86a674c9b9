"""Tasks with an idempotency key: one run under it, whoever asks, and however."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any

import pytest
from tierwise import Cascade, Judge, Price, Reply, Router, Task, Tool, answering
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import (
    AllModelsFailedError,
    ConfigError,
    IdempotencyError,
    InProgressError,
    KeyReusedError,
    StateError,
    UnknownOutcomeError,
)
from tierwise.idempotency import keyed
from tierwise.idempotency.fingerprint import fingerprint
from tierwise.observer import Ending, Unwatched
from tierwise.run import Run
from tierwise.state import MemoryState, Once
from tierwise.testing import HANG, ScriptedBackend

from ..driving import DOWN, DRIVERS, Driver, Stop, every_driver, router

KEY = "order-17"
DEAR = Price(1, 1)


def order(messages: str = "What is the capital of France?", **fields: Any) -> Task:
    return Task(messages, idempotency_key=KEY, **fields)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@every_driver
def test_the_second_time_the_reply_is_given_again_without_a_call_or_a_row(drive: Driver) -> None:
    backend = ScriptedBackend({"*": "Paris."}, price=DEAR)
    made = router(backend)
    first = drive(made, order(session="s"))
    for again in DRIVERS:
        got = again(made, order(session="s"))
        assert (got.error, got.answer, got.rows) == (None, first.answer, first.rows)
        assert got.text in ("Paris.", "")
        assert [chunk.text for chunk in got.shown] in ([], ["Paris."])
    assert len(backend.attempts) == 1
    assert made.receipt(session="s").rows == first.rows, "the ledger has one row, and its cost once"


def test_the_reply_says_that_it_was_given_before() -> None:
    made = router(ScriptedBackend({"*": "Paris."}, price=DEAR))
    first, second = made.run(order()), made.run(order())
    assert (first.replayed, second.replayed) == (False, True)
    assert (second.run_id, second.cost) == (first.run_id, first.cost)
    with made.stream(order()) as stream:
        assert "".join(chunk.text for chunk in stream) == "Paris."
    assert (stream.reply.replayed, stream.receipt) == (True, first.receipt)


@every_driver
@pytest.mark.parametrize(
    "other",
    [
        order("What is the capital of Spain?"),
        order(system="Be brief."),
        order(tools=[Tool("search")]),
        order(output_schema={"type": "string"}),
    ],
)
def test_another_request_under_the_same_key_is_refused(drive: Driver, other: Task) -> None:
    backend = ScriptedBackend({"*": '"Paris."'})
    made = router(backend)
    drive(made, order())
    error = drive(made, other).error
    assert isinstance(error, KeyReusedError)
    assert "another request's" in str(error)
    assert (error.key, len(backend.attempts)) == (KEY, 1)


def test_the_bounds_of_a_request_may_be_others_the_second_time() -> None:
    made = router(ScriptedBackend({"*": "Paris."}))
    made.run(order(deadline=5, tags=["a"]))
    assert made.run(order(deadline=60, session="s", min_tier="large")).replayed


def test_a_judge_is_called_for_each_answer_that_it_judges() -> None:
    backend = ScriptedBackend({"*": "Paris.", "x:large": '{"pass": true, "reason": "right"}'})
    made = router(backend, Cascade(Judge("large")))
    assert len(made.run(order()).attempts) == len(backend.attempts) > 1
    assert order().derive("Judge this.", job="judge").idempotency_key is None


# Several at once


class Held:
    """An answer that is given when it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked = threading.Event()
        self.go = threading.Event()

    def __call__(self, attempt: Attempt) -> Outcome:
        self.calls += 1
        self.asked.set()
        assert self.go.wait(60)
        return Outcome(attempt, text="Paris.")


@every_driver
def test_of_two_at_once_the_second_waits_for_the_reply_of_the_first(drive: Driver) -> None:
    held = Held()
    made = router(ScriptedBackend({"*": held}))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(made.run, order())
        assert held.asked.wait(60)
        second = pool.submit(drive, made, order())
        held.go.set()
        assert second.result(60).rows == first.result(60).attempts
    assert held.calls == 1


@every_driver
def test_who_cannot_wait_so_long_is_told_that_it_is_under_way(drive: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    # By this clock each look at it takes a while: so the deadline passes in the wait, and not before.
    monkeypatch.setattr(answering, "Run", partial(Run, clock=count(0.0, 0.005).__next__))
    held = Held()
    made = router(ScriptedBackend({"*": held}))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(made.run, order())
        assert held.asked.wait(60)
        error = drive(made, order(deadline=0.05)).error
        held.go.set()
        assert isinstance(error, InProgressError)
        assert error.run_id == first.result(60).run_id
    assert held.calls == 1


@every_driver
def test_when_the_first_fails_the_second_makes_the_run(drive: Driver) -> None:
    failing = ScriptedBackend({"*": [DOWN, DOWN, DOWN, DOWN, "Paris."]})
    made = router(failing, Cascade())
    assert isinstance(drive(made, order()).error, AllModelsFailedError), "nothing was given, and the caller was told"
    assert drive(made, order()).answer is not None


# Runs of which nothing is known


@every_driver
def test_a_run_that_is_not_heard_of_any_more_is_unknown_and_made_again_for_who_says_so(drive: Driver) -> None:
    clock = Clock()
    state = MemoryState(clock=clock)
    backend = ScriptedBackend({"*": "Paris."})
    made = router(backend, state=state)
    task = order()
    request = fingerprint(task)
    state.begin_once(KEY, request, "killed", lease=keyed.LEASE)
    clock.now += keyed.LEASE
    error = drive(made, task).error
    assert isinstance(error, UnknownOutcomeError)
    assert "the provider may have answered and billed" in str(error)
    assert (error.run_id, backend.attempts) == ("killed", [])
    assert drive(made, Task.of(task, retry_unknown=True)).answer is not None
    assert drive(made, task).answer is not None
    assert len(backend.attempts) == 1


@every_driver
def test_a_run_that_is_interrupted_after_its_call_was_sent_is_unknown(drive: Driver) -> None:
    backend = ScriptedBackend({"*": [Stop(), "Paris."]}, price=DEAR)
    made = router(backend)
    with pytest.raises(Stop):
        drive(made, order())
    assert isinstance(drive(made, order()).error, UnknownOutcomeError)
    assert drive(made, order(retry_unknown=True)).answer is not None


async def test_so_is_one_that_is_cancelled() -> None:
    backend = ScriptedBackend({"*": [HANG, "Paris."]}, price=DEAR)
    made = router(backend)
    task = asyncio.create_task(made.arun(order()))
    await asyncio.sleep(0)
    assert backend.open_calls == 1
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    with pytest.raises(UnknownOutcomeError):
        await made.arun(order())


def test_so_is_a_stream_that_is_left_early() -> None:
    made = router(ScriptedBackend({"*": "Paris is the capital of France."}, price=DEAR))
    with made.stream(order()) as stream:
        next(iter(stream))
    with pytest.raises(UnknownOutcomeError):
        made.run(order())


async def test_and_one_that_is_left_early_in_async() -> None:
    made = router(ScriptedBackend({"*": "Paris is the capital of France."}, price=DEAR))
    async with made.astream(order()) as stream:
        await anext(aiter(stream))
    with pytest.raises(UnknownOutcomeError):
        await made.arun(order())


def test_a_stream_that_cost_nothing_or_never_began_frees_its_key() -> None:
    backend = ScriptedBackend({"*": "Paris is the capital of France."}, price=Price(0, 0))
    made = router(backend)
    with made.stream(order()):
        pass
    with made.stream(order()) as stream:
        next(iter(stream))
    assert not made.run(order()).replayed


# What is kept, and for how long


def test_a_reply_is_kept_for_so_long_and_no_longer() -> None:
    clock = Clock()
    made = router(ScriptedBackend({"*": "Paris."}), state=MemoryState(clock=clock), keep_replies=60)
    first = made.run(order())
    clock.now += 59
    assert made.run(order()).replayed
    clock.now += 2
    assert made.run(order()).run_id != first.run_id


def test_a_reply_that_is_too_long_to_keep_is_given_and_its_key_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keyed, "MOST_KEPT", 10)
    made = router(ScriptedBackend({"*": "Paris."}))
    reply = made.run(order())
    assert reply.text == "Paris."
    assert "10 are kept at most" in str(reply.statements)
    assert "is not kept" in caplog.text
    with pytest.raises(UnknownOutcomeError):
        made.run(order())


# The state is lost


class Lost(MemoryState):
    """Is not there when a key is asked for, or only when a run ends."""

    def __init__(self, *lost: str) -> None:
        super().__init__()
        self.lost = lost

    def begin_once(self, *args: Any, **options: Any) -> Once:
        self._ask("begin")
        return super().begin_once(*args, **options)

    def end_once(self, *args: Any, **options: Any) -> None:
        self._ask("end")
        super().end_once(*args, **options)

    def _ask(self, what: str) -> None:
        if what in self.lost:
            raise StateError("state: gone")


@every_driver
def test_a_lost_state_refuses_the_run(drive: Driver) -> None:
    backend = ScriptedBackend({"*": "Paris."})
    error = drive(router(backend, state=Lost("begin", "end")), order()).error
    assert isinstance(error, StateError)
    assert "the run is not made" in str(error)
    assert backend.attempts == []


def by_arun(made: Router, task: Task) -> Reply:
    return asyncio.run(made.arun(task))


@pytest.mark.parametrize("run", [Router.run, by_arun])
def test_or_the_run_is_made_without_its_key_and_says_so(
    run: Callable[[Router, Task], Reply], caplog: pytest.LogCaptureFixture
) -> None:
    backend = ScriptedBackend({"*": "Paris."})
    made = router(backend, state=Lost("begin", "end"), on_state_loss="fail_open")
    with caplog.at_level(logging.WARNING, logger="tierwise"):
        replies = [run(made, order()) for _ in range(2)]
    assert [reply.text for reply in replies] == ["Paris.", "Paris."]
    assert all("without its idempotency_key" in str(reply.statements) for reply in replies)
    assert "without its idempotency_key" in caplog.text
    assert len(backend.attempts) == 2


@every_driver
def test_a_state_that_is_lost_at_the_end_does_not_cost_the_reply(
    drive: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    got = drive(router(ScriptedBackend({"*": "Paris."}), state=Lost("end")), order())
    assert got.answer is not None
    assert "what came of the run is not known" in caplog.text


# Settings


@pytest.mark.parametrize("key", ["", "x" * 256, 17])
def test_a_key_is_a_text_of_some_length(key: Any) -> None:
    with pytest.raises(ConfigError, match="1 to 255 characters"):
        Task("hi", idempotency_key=key)


def test_replies_are_kept_for_some_time() -> None:
    with pytest.raises(ConfigError, match="keep_replies=0 must be above zero"):
        router(ScriptedBackend({"*": "Paris."}), keep_replies=0)


def test_a_request_in_a_frameworks_own_form_has_no_key() -> None:
    with pytest.raises(ConfigError, match="framework's own form"):
        router(ScriptedBackend({"*": "Paris."})).run(order(native=object()))


def test_no_error_of_a_key_is_one_of_a_run() -> None:
    assert all(issubclass(error, IdempotencyError) for error in (KeyReusedError, InProgressError, UnknownOutcomeError))


# Telemetry


class Endings(Unwatched):
    """Remembers how runs ended."""

    def __init__(self) -> None:
        self.seen: list[Ending] = []

    def ended(self, ending: Ending) -> None:
        self.seen.append(ending)


@every_driver
def test_what_a_reply_cost_is_told_once(drive: Driver) -> None:
    endings = Endings()
    made = router(ScriptedBackend({"*": "Paris."}, price=DEAR), telemetry=endings)
    for _ in range(2):
        drive(made, order())
    first, second = endings.seen
    assert first.reply is not None
    assert second.reply is not None
    assert (first.receipt, second.receipt.rows) == (first.reply.receipt, ())
    assert second.reply.replayed
