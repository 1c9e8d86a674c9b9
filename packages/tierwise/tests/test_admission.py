"""What every call goes through before it is made: reserving, waiting, and what happens when the state is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from tierwise import Cascade, Check, Router, Task, Vote, answering
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import AllModelsFailedError, LimitError, LimitStateError, StateError
from tierwise.limits import Call, Limit
from tierwise.run import Run
from tierwise.state import Claim, Denied, Granted, MemoryState, Observed, Slot, Spend, Taken, Turn
from tierwise.state.base import completed
from tierwise.strategies import Single, Strategy
from tierwise.testing import HANG, ScriptedBackend

from .driving import (
    DOWN,
    FLEET,
    Counting,
    Driver,
    Stopwatch,
    by_run,
    by_stream,
    every_driver,
    nothing_is_held,
    router,
    sure,
    until,
)


class OneAtATime(Limit):
    """A slot for each of these models, and a queue before it."""

    name = "one at a time"

    def __init__(self, *models: str, wait: float = 30.0) -> None:
        self.models = models
        self.wait = wait

    def claims(self, call: Call) -> Sequence[Claim]:
        name = call.attempt.model.name
        return [Slot(name, size=1)] if name in self.models else []


class Flat(Limit):
    """An account from which each call takes the same."""

    name = "flat"

    def __init__(self, amount: int, cap: int = 100) -> None:
        self.amount = amount
        self.cap = cap

    def claims(self, call: Call) -> Sequence[Claim]:
        return [Spend("all", self.cap, self.amount)]

    def taken(self, claim: Claim, outcome: Outcome, call: Call) -> Taken:
        return self.amount


class Crowd(ScriptedBackend):
    """Remembers how many calls of a model were under way at once."""

    def __init__(self) -> None:
        super().__init__({"*": "7"})
        self.most = 0

    def call(self, attempt: Attempt) -> Outcome:
        self.most = max(self.most, self.open_calls + 1)
        return super().call(attempt)

    async def acall(self, attempt: Attempt) -> Outcome:
        self.most = max(self.most, self.open_calls + 1)
        return await super().acall(attempt)


@every_driver
def test_calls_side_by_side_wait_for_each_other_where_a_limit_says_so(drive: Driver) -> None:
    backend = Crowd()
    made = router(backend, Vote(["x:small", "x:small", "x:small"]), limits=[OneAtATime("small")])
    got = drive(made, Task("q"))
    assert got.answer is not None
    assert (backend.most, [row.state for row in got.rows]) == (1, ["settled"] * 3)
    assert nothing_is_held(made)


@every_driver
def test_a_call_that_would_wait_too_long_is_refused_and_the_load_shifts(drive: Driver) -> None:
    state = MemoryState()
    assert isinstance(state.reserve("another", [Slot("small", size=1)], lease=600), Granted)
    for limit in (OneAtATime("small", wait=0.03), OneAtATime("small", wait=0.0)):
        backend = ScriptedBackend({"*": "good"})
        got = drive(router(backend, limits=[limit], state=state), Task("q"))
        assert got.answer is not None
        assert (got.rows[0].error_type, backend.asked) == ("LimitError", ["x:spare"])


class Patient(MemoryState):
    """Nobody really waits: it adds up for how long they would."""

    waited = 0.0

    def pause(self, call_id: str, seconds: float, *, most: float) -> None:
        self.waited += seconds

    async def apause(self, call_id: str, seconds: float, *, most: float) -> None:
        self.waited += seconds


@every_driver
def test_nobody_waits_beyond_the_deadline(drive: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    state = Patient()
    monkeypatch.setattr(answering, "Run", partial(Run, clock=lambda: state.waited))
    state.reserve("another", [Slot(model.name, size=1) for model in FLEET.models], lease=600)
    limit = OneAtATime(*(model.name for model in FLEET.models), wait=600)
    got = drive(router(ScriptedBackend({"*": "good"}), limits=[limit], state=state), Task("q", deadline=0.1))
    assert isinstance(got.error, AllModelsFailedError)
    assert {row.error_type for row in got.rows} == {"LimitError"}
    assert 0 < state.waited < 0.1


async def test_a_call_that_is_cancelled_while_it_waits_leaves_nothing() -> None:
    state = MemoryState()
    state.reserve("another", [Slot("small", size=1), Slot("spare", size=1)], lease=600)
    backend = ScriptedBackend({"*": "good"})
    for strategy in (Single(), Vote(["x:small", "x:small", "x:small"])):
        made = router(backend, strategy, limits=[OneAtATime("small", "spare")], state=state)
        task = asyncio.create_task(made.arun("q"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (state.held, backend.asked) == (1, [])


@every_driver
def test_a_refusal_that_is_final_ends_the_run_and_sends_nothing_of_a_batch(drive: Driver) -> None:
    class Final(LimitError):
        final = True

    class Ends(Counting):
        def claims(self, call: Call) -> Sequence[Claim]:
            if call.attempt.model.name == "large":
                raise Final("enough", limit="test")
            return super().claims(call)

    backend, limit = ScriptedBackend({"*": "good"}), Ends()
    made = router(backend, Vote(["small", "medium", "large"]), limits=[limit])
    assert isinstance(drive(made, Task("q")).error, Final)
    assert backend.asked == []
    assert limit.is_balanced()
    assert nothing_is_held(made)


@every_driver
def test_work_that_no_model_does_asks_no_limit(drive: Driver) -> None:
    def passes(_: Outcome) -> bool:
        return True

    limit = Counting()
    made = router(ScriptedBackend({"*": "good"}), Cascade(Check(passes)), limits=[limit])
    assert drive(made, Task("q")).answer is not None
    assert len(limit.given) == 1


# The state is lost.


class Lost(MemoryState):
    """Cannot be reached, where it is told so."""

    def __init__(self, *methods: str) -> None:
        super().__init__()
        self.methods = methods

    def reserve(self, call_id: str, claims: Sequence[Claim], **options: Any) -> Granted | Denied:
        if "reserve" in self.methods:
            raise StateError("state at host:6379: connection refused")
        return super().reserve(call_id, claims, **options)

    def settle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        if "settle" in self.methods:
            raise StateError("state at host:6379: connection refused")
        super().settle(call_id, claims, taken, observed)


@every_driver
def test_closed_a_call_whose_limits_cannot_be_asked_is_refused(drive: Driver, caplog: pytest.LogCaptureFixture) -> None:
    backend = ScriptedBackend({"*": "good"})
    made = router(backend, limits=[Counting()], state=Lost("reserve"))
    got = drive(made, Task("q"))
    assert isinstance(got.error, AllModelsFailedError)
    assert all(isinstance(outcome.error, LimitStateError) for outcome in got.error.outcomes)
    assert "on_state_loss='fail_closed'" in str(got.error)
    assert backend.asked == []
    assert [r.levelno for r in caplog.records if "connection refused" in r.message] == [logging.WARNING]


@every_driver
def test_closed_a_model_that_no_limit_counts_answers(drive: Driver) -> None:
    backend = ScriptedBackend({"*": "good"})
    made = router(backend, limits=[OneAtATime("small", "spare")], state=Lost("reserve", "settle"))
    got = drive(made, Task("q"))
    assert got.answer is not None
    assert backend.asked == ["x:medium"]


def test_open_a_call_goes_without_its_limits_and_the_reply_says_so(caplog: pytest.LogCaptureFixture) -> None:
    made = router(ScriptedBackend({"*": "good"}), limits=[Counting()], state=Lost("reserve"), on_state_loss="fail_open")
    for _ in range(2):
        (said,) = made.run("q").statements
        assert said.text.startswith("x:small was called without its limits: state at host:6379")
        assert said.data == {"state_loss": "fail_open"}
    assert len([r for r in caplog.records if "calls go without limits" in r.message]) == 1


def test_the_next_outage_is_logged_too(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    made = router(ScriptedBackend({"*": "good"}), limits=[Counting()], state=Lost("reserve"), on_state_loss="fail_open")
    for now in (1_000.0, 1_050.0, 1_100.0, 1_161.0, 1_162.0):
        monkeypatch.setattr("time.monotonic", partial(float, now))
        made.run("q")
    assert len([r for r in caplog.records if "calls go without limits" in r.message]) == 2


@every_driver
@pytest.mark.parametrize("mode", ["fail_open", "fail_closed"])
def test_a_settlement_that_is_lost_costs_nobody_the_answer(drive: Driver, mode: Any) -> None:
    made = router(ScriptedBackend({"*": "good"}), Cascade(sure), limits=[Counting()], state=Lost("settle"))
    assert drive(made, Task("q")).answer is not None
    assert "a call could not be settled" in made.run("q").statements[0].text


class TestASettlementThatIsLost:
    def spent(self, state: MemoryState) -> int:
        return state.balance("all").spent

    @every_driver
    def test_is_told_when_the_state_is_back(self, drive: Driver) -> None:
        state = Lost("settle")
        made = router(ScriptedBackend({"*": "good"}), limits=[Flat(3)], state=state)
        for _ in range(2):
            drive(made, Task("q"))
        assert (self.spent(state), state.held) == (0, 2)
        state.methods = ()
        drive(made, Task("q"))
        assert (self.spent(state), state.held) == (9, 0)
        drive(made, Task("q"))
        assert self.spent(state) == 12, "each is told once"

    def test_holds_what_it_set_aside_until_then(self) -> None:
        state = Lost("settle")
        made = router(ScriptedBackend({"*": "good"}), limits=[Flat(3, cap=5)], state=state)
        assert made.run("q").text == "good"
        with pytest.raises(AllModelsFailedError, match="LimitError: flat"):
            made.run("q")

    def test_is_tried_again_once(self) -> None:
        told: list[str] = []

        class Choosy(MemoryState):
            def settle(
                self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
            ) -> None:
                told.append(call_id)
                if call_id == told[0]:
                    raise StateError("state at host:6379: not this one")
                super().settle(call_id, claims, taken, observed)

        made = router(ScriptedBackend({"*": "good"}), limits=[Flat(3)], state=Choosy())
        for _ in range(3):
            made.run("q")
        assert told.count(told[0]) == 2
        assert len(set(told)) == 3


async def test_a_reservation_that_is_interrupted_is_given_back() -> None:
    class Slow(MemoryState):
        async def areserve(self, call_id: str, claims: Sequence[Claim], **options: Any) -> Granted | Denied:
            said = self.reserve(call_id, claims, **options)
            await asyncio.Event().wait()
            return said

    made = router(ScriptedBackend({"*": "good"}), limits=[Counting()], state=Slow())
    task = asyncio.create_task(made.arun("q"))
    await until(lambda: not nothing_is_held(made))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert nothing_is_held(made)


def test_a_reservation_outlives_its_calls_deadline_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    leases: list[float] = []

    class Noting(MemoryState):
        def reserve(self, call_id: str, claims: Sequence[Claim], **options: Any) -> Granted | Denied:
            leases.append(options["lease"])
            return super().reserve(call_id, claims, **options)

    backend = ScriptedBackend({"*": Stopwatch(monkeypatch).starts(HANG)})
    made = router(backend, limits=[Counting()], state=Noting())
    with pytest.raises(Exception, match="deadline"):
        made.run("q", deadline=0.05)
    assert leases == [30.05]


def test_how_models_did_is_remembered() -> None:
    now = 1000.0
    state = MemoryState(clock=lambda: now)
    router(ScriptedBackend({"small": DOWN, "*": "good"}), Cascade(sure), state=state).run("q")
    assert state.error_rate("x:small") == 1.0
    now += 60
    assert state.error_rate("x:small") == 0.5, "it fades"
    assert state.error_rate("x:spare") == 0.0
    assert (state.latency("x:small"), state.latency("x:spare") is not None) == (None, True)


def unsure(outcome: Outcome) -> bool:
    return False


class Unhurried(MemoryState):
    """Each operation takes several turns of the event loop, before and after it is done."""

    most = 0

    async def areserve(self, call_id: str, claims: Sequence[Claim], **options: Any) -> Granted | Denied:
        return await completed(self._done(lambda: self.reserve(call_id, claims, **options)))

    async def asettle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        await completed(self._done(lambda: self.settle(call_id, claims, taken, observed)))

    async def _done(self, operation: Callable[[], Any]) -> Any:
        await asyncio.sleep(0)
        done = operation()
        balance = self.balance("all")
        self.most = max(self.most, balance.spent + balance.reserved)
        await asyncio.sleep(0)
        return done


async def one_run(made: Router, streamed: bool) -> None:
    if not streamed:
        await made.arun("q")
        return
    async with made.astream("q") as stream:
        async for _ in stream:
            await asyncio.sleep(0)


@pytest.mark.parametrize("streamed", [False, True], ids=["arun", "astream"])
@pytest.mark.parametrize("strategy", [Single(), Cascade(unsure), Vote(["x:small", "x:small", "x:medium"])], ids=type)
async def test_a_run_that_is_cancelled_at_whatever_moment_leaves_nothing_set_aside(
    strategy: Strategy, streamed: bool
) -> None:
    state, turns, ended = Unhurried(), 0, False
    while not ended:
        turns += 1
        state = Unhurried()
        made = router(ScriptedBackend({"*": "seven or so words"}), strategy, limits=[Flat(3, cap=8)], state=state)
        task = asyncio.create_task(one_run(made, streamed))
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = task.done()
        task.cancel()
        await asyncio.wait([task])
        assert nothing_is_held(made), f"cancelled after {turns} turns"
        assert state.most <= 8
    assert turns > 10
    assert state.most >= 3


async def test_voices_that_are_cancelled_before_they_begin_leave_nothing_set_aside() -> None:
    for turns in range(1, 20):
        voices = Vote(["x:small", "x:spare", "x:medium"])
        made = router(ScriptedBackend({"*": "7"}), voices, limits=[Flat(3)])
        task = asyncio.create_task(made.arun("q"))
        for _ in range(turns):
            await asyncio.sleep(0)
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for each in under_way:  # as an event loop does that is shut down
            each.cancel()
        await asyncio.wait([task])
        assert nothing_is_held(made), f"cancelled after {turns} turns"


@pytest.mark.parametrize("drive", [by_run, by_stream])
def test_who_presses_ctrl_c_in_a_line_leaves_it(drive: Driver) -> None:
    class Interrupted(MemoryState):
        def pause(self, call_id: str, seconds: float, *, most: float) -> None:
            raise KeyboardInterrupt

    state = Interrupted()
    slot = [Slot("small", size=1), Turn("line", "a party")]
    assert isinstance(state.reserve("another", [slot[0]], lease=600), Granted)

    class InLine(OneAtATime):
        def claims(self, call: Call) -> Sequence[Claim]:
            return slot

    made = router(ScriptedBackend({"*": "good"}), limits=[InLine("small")], state=state)
    with pytest.raises(KeyboardInterrupt):
        drive(made, Task("q"))
    assert state.held == 1
    denied = state.reserve("next", slot, lease=600)
    assert isinstance(denied, Denied)
    assert denied.ahead == 0
