"""Which failures are tried again, how often, and after what pause."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Budget, Cascade, CircuitBreaker, Fleet, ModelSpec, Price, Retry, Router, Single, Task, Tier, Vote
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import (
    AllModelsFailedError,
    AuthenticationError,
    BadResponseError,
    BudgetExceededError,
    CallTimeoutError,
    ConfigError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    ServerBusyError,
    StreamBrokenError,
    UnavailableError,
)
from tierwise.ids import new_id
from tierwise.limits.retry import Retries
from tierwise.testing import ScriptedBackend, Stream

from ..driving import Driver, every_driver, every_stream, nothing_is_held, router

BUSY = ServerBusyError("busy", status=503)
QUICK = Retry(pause=0.001)

PASSING: list[Exception] = [
    BUSY,
    UnavailableError("502", status=502),
    UnavailableError("the connection broke"),
    CallTimeoutError("slow", phase="first_token"),
    CallTimeoutError("slow", phase="connect"),
    BadResponseError("broken off"),
    RateLimitError("429", status=429),
    RateLimitError("429", status=429, retry_after=0.01),
    ConnectionResetError("reset"),
    TimeoutError("slow"),
]
LASTING: list[Exception] = [
    InvalidRequestError("400", status=400),
    AuthenticationError("401", status=401),
    ModelNotFoundError("404", status=404),
    UnavailableError("nobody", reached=False),
    ConnectionRefusedError("nobody"),
    CallTimeoutError("silent", phase="idle"),
    CallTimeoutError("over", phase="total"),
    RateLimitError("429", status=429, retry_after=50.0),
    FileNotFoundError("no socket"),
]


def named(error: Exception) -> str:
    return f"{type(error).__name__} {error}"


@every_driver
@pytest.mark.parametrize("error", PASSING, ids=named)
def test_what_passes_is_tried_again_and_each_try_is_a_call(drive: Driver, error: Exception) -> None:
    backend = ScriptedBackend({"*": [error, "fine"]})
    made = router(backend, limits=[Budget(tokens=10_000)], retry=QUICK)
    got = drive(made, Task("q"))
    assert got.answer is not None
    assert backend.asked == ["x:small", "x:small"]
    assert [row.error_type for row in got.rows] == [type(error).__name__, None]
    assert got.rows[1].reason == f"retry: {type(error).__name__}"
    assert len({row.call_id for row in got.rows}) == 2
    assert nothing_is_held(made)


@every_driver
@pytest.mark.parametrize("error", LASTING, ids=named)
def test_what_lasts_is_not_and_the_next_model_is_asked_at_once(drive: Driver, error: Exception) -> None:
    backend = ScriptedBackend({"small": error, "*": "fine"})
    got = drive(router(backend, retry=Retry(pause=0)), Task("q"))
    assert got.answer is not None
    assert backend.asked == ["x:small", "x:spare"]


@every_driver
def test_without_a_retry_nothing_is_tried_again(drive: Driver) -> None:
    backend = ScriptedBackend({"small": BUSY, "*": "fine"})
    assert drive(router(backend), Task("q")).answer is not None
    assert backend.asked == ["x:small", "x:spare"]


@every_driver
def test_the_whole_run_bounds_them_and_not_each_model(drive: Driver) -> None:
    backend = ScriptedBackend({"*": BUSY})
    got = drive(router(backend, retry=Retry(total=3, each=1, pause=0)), Task("q"))
    assert isinstance(got.error, AllModelsFailedError)
    assert backend.asked == ["x:small", "x:small", "x:spare", "x:spare", "x:medium", "x:medium", "x:large"]
    assert [row.model for row in got.rows] == backend.asked
    assert str(got.error).count("(try 2)") == 3


@every_driver
def test_the_calls_of_a_batch_share_the_bound(drive: Driver) -> None:
    backend = ScriptedBackend({"*": BUSY})
    got = drive(router(backend, Vote(["x:small", "x:spare", "x:medium"]), retry=Retry(total=2, pause=0)), Task("q"))
    assert isinstance(got.error, AllModelsFailedError)
    assert len(got.rows) == len(backend.asked) == 3 + 2


@every_driver
def test_what_a_client_repeats_by_itself_counts(drive: Driver) -> None:
    class Stubborn(ScriptedBackend):
        def client_retries(self, model: ModelSpec) -> int:
            return 2 if model.name == "small" else 0

    backend = Stubborn({"*": BUSY})
    drive(router(backend, retry=Retry(total=3, each=1, pause=0)), Task("q"))
    assert backend.asked == ["x:small", "x:spare", "x:spare", "x:medium", "x:large"]


@every_stream
@pytest.mark.parametrize("shown", ["", "   "])
def test_a_stream_that_breaks_before_anything_was_shown_is_tried_again(drive: Driver, shown: str) -> None:
    backend = ScriptedBackend({"small": [Stream(shown, BadResponseError("broke off")), "fine"]})
    got = drive(router(backend, retry=QUICK), Task("q"))
    assert got.text.strip() == "fine"
    assert backend.asked == ["x:small", "x:small"]


@every_stream
def test_after_something_was_shown_nothing_is(drive: Driver) -> None:
    backend = ScriptedBackend({"small": [Stream("One ", BadResponseError("broke off")), "fine"]})
    got = drive(router(backend, retry=QUICK), Task("q"))
    assert isinstance(got.error, StreamBrokenError)
    assert backend.asked == ["x:small"]


@every_driver
def test_nobody_pauses_past_the_deadline(drive: Driver) -> None:
    backend = ScriptedBackend({"small": RateLimitError("429", status=429, retry_after=4.0), "*": "fine"})
    got = drive(router(backend, retry=Retry()), Task("q", deadline=3))
    assert got.answer is not None
    assert backend.asked == ["x:small", "x:spare"]


@every_driver
def test_each_try_is_reserved_for_and_may_be_refused(drive: Driver) -> None:
    fleet = Fleet([Tier("only", ModelSpec("x:only", price=Price(1_000, 1_000), max_output_tokens=100))])
    backend = ScriptedBackend({"*": [BadResponseError("broke off"), "fine"]})
    budget = Budget(usd="0.1015")  # one call may take 0.101, and a broken one is charged for its prompt
    made = Router(fleet, strategy=Single(), backends={"x": backend}, limits=[budget], retry=QUICK)
    got = drive(made, Task("q"))
    assert isinstance(got.error, BudgetExceededError)
    assert [(row.state, row.reason) for row in got.rows[1:]] == [("refused", "retry: BadResponseError")]
    assert len(backend.asked) == 1
    assert nothing_is_held(made)


@every_driver
def test_a_circuit_that_has_opened_meanwhile_ends_the_tries(drive: Driver) -> None:
    backend = ScriptedBackend({"small": BUSY, "*": "fine"})
    limits = [CircuitBreaker(failures=1)]
    got = drive(router(backend, limits=limits, retry=Retry(each=3, pause=0)), Task("q"))
    assert got.answer is not None
    assert [row.error_type for row in got.rows] == ["ServerBusyError", "CircuitOpenError", None]
    assert backend.asked == ["x:small", "x:spare"]


@every_driver
def test_a_judge_is_tried_again_too(drive: Driver) -> None:
    backend = ScriptedBackend({"small": "draft", "*": [BUSY, '{"score": 10, "reason": "right"}']})
    got = drive(router(backend, Cascade(), retry=QUICK), Task("q"))
    assert got.answer is not None
    assert [row.purpose for row in got.rows if row.model == "x:medium"] == ["judge", "judge"]


async def test_a_run_that_is_cancelled_while_it_pauses_leaves_nothing() -> None:
    backend = ScriptedBackend({"*": RateLimitError("429", status=429, retry_after=4.0)})
    for strategy in (Single(), Vote(["x:small", "x:spare", "x:medium"])):
        made = router(backend, strategy, limits=[Budget(tokens=100_000)], retry=Retry())
        task = asyncio.create_task(made.arun("q"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert nothing_is_held(made)


def test_a_consumer_that_left_is_not_waited_for() -> None:
    backend = ScriptedBackend({"*": ["fine"]})
    made = router(backend, retry=QUICK)
    with made.stream("q") as stream:
        next(iter(stream))
    assert backend.asked == ["x:small"]


# Pauses


def failed(error: BaseException, retries: int = 0) -> Outcome:
    return Outcome(Attempt(Task("q"), ModelSpec("x:m"), call_id=new_id(), retries=retries), error=error)


@given(
    pause=st.floats(0, 100),
    longest=st.floats(0, 100),
    retries=st.integers(0, 50),
    asked=st.none() | st.floats(0, 1e9),
    left=st.none() | st.floats(0.001, 1e3),
)
def test_a_pause_is_never_shorter_than_asked_nor_longer_than_allowed(
    pause: float, longest: float, retries: int, asked: float | None, left: float | None
) -> None:
    bounds = Retry(total=1, each=100, pause=pause, longest=longest)
    error = RateLimitError("429", status=429, retry_after=asked)
    made = Retries(bounds).pause(failed(error, retries), repeated=0, left=left)
    asked = asked or 0.0
    if made is None:
        assert asked > longest or left is not None
    else:
        assert asked <= made <= asked + min(pause * 2**retries, longest)
        assert left is None or made < left


def test_pauses_are_spread() -> None:
    pauses = sorted(
        Retries(Retry(total=1, pause=1.0)).pause(failed(BUSY), repeated=0, left=None) or 0 for _ in range(200)
    )
    assert pauses[20] < 0.3 < 0.7 < pauses[-20]


@pytest.mark.parametrize(
    "wrong",
    [{"total": -1}, {"total": "3"}, {"each": -1}, {"each": 0.5}, {"pause": float("nan")}, {"longest": float("inf")}],
    ids=str,
)
def test_wrong_figures_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Retry(**wrong)
    assert caught.value.setting in wrong
