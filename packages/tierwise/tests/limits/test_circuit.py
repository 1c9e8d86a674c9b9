"""What opens a circuit, for how long and for whom, and how it closes again."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest
from tierwise import CircuitBreaker, Fleet, ModelSpec, Router, Single, Task, Tier
from tierwise.attempt import Attempt, Outcome
from tierwise.backends import Backend, fingerprint
from tierwise.errors import (
    AllModelsFailedError,
    AuthenticationError,
    BadResponseError,
    CallTimeoutError,
    CircuitOpenError,
    ConfigError,
    ContextOverflowError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    ServerBusyError,
    UnavailableError,
)
from tierwise.state import MemoryState
from tierwise.testing import HANG, ScriptedBackend, Stream

from ..driving import Driver, Stopwatch, every_driver, nothing_is_held, until

FLEET = Fleet([Tier("small", ["x:small", "x:spare"]), Tier("large", "x:large")])
LONELY = Fleet([Tier("only", "x:only")])
BUSY = UnavailableError("busy", status=500)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A router over scripted models, whose state's clock can be set."""

    def __init__(self, backend: Backend, fleet: Fleet = LONELY, **options: Any) -> None:
        self.clock = Clock()
        self.backend: Any = backend
        self.state = MemoryState(clock=self.clock)
        settings: dict[str, Any] = {"failures": 2, "cooldown": 10.0, "longest": 60.0}
        self.breaker = CircuitBreaker(**(settings | options))
        self.router = Router(fleet, strategy=Single(), backends={"x": backend}, limits=[self.breaker], state=self.state)

    def ask(self) -> Any:
        """The text of the answer, or the error of the last model."""
        try:
            return self.router.run("q").text
        except AllModelsFailedError as error:
            return error.outcomes[-1].error

    @property
    def rest(self) -> float | None:
        """Seconds for which the next call is refused; `None` if it goes, or would."""
        error = self.ask()
        return error.retry_after if isinstance(error, CircuitOpenError) else None


def bench(*steps: Any, **options: Any) -> Bench:
    return Bench(ScriptedBackend({"*": list(steps)}), **options)


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("502", status=502),
        ServerBusyError("529", status=529),
        CallTimeoutError("slow", phase="first_token"),
        BadResponseError("broken off"),
        RateLimitError("429 that names no time", status=429),
        ConnectionResetError("reset"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failures_in_a_row_open_it_and_a_success_between_them_counts_anew(error: Exception) -> None:
    made = bench(error, "fine", error, error, "fine")
    assert made.ask() is error
    assert made.ask() == "fine"
    assert made.ask() is made.ask() is error
    assert 10 <= (made.rest or 0) <= 11
    assert len(made.backend.asked) == 4, "what is refused does not reach the model"


def test_an_empty_answer_is_a_failure() -> None:
    made = bench("  ")
    made.ask()
    made.ask()
    assert made.rest is not None


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("400", status=400),
        ContextOverflowError("too long", status=400),
        ModelNotFoundError("404", status=404),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_request_that_was_wrong_in_itself_says_nothing(error: Exception) -> None:
    made = bench(BUSY, error, error, error, BUSY, "fine")
    for _ in range(4):
        assert made.rest is None
    assert made.ask() is BUSY, "the count goes on where it was"
    assert made.rest is not None


@pytest.mark.parametrize("error", [UnavailableError("nobody", reached=False), ConnectionRefusedError("nobody")])
def test_where_nobody_is_there_it_opens_at_once(error: Exception) -> None:
    made = bench(error, failures=100)
    assert made.ask() is error
    assert made.rest is not None


@pytest.mark.parametrize("kind", [RateLimitError, ServerBusyError, UnavailableError])
@pytest.mark.parametrize("asked", [0.5, 300.0])
def test_a_provider_that_names_a_time_is_left_alone_for_exactly_that(kind: Any, asked: float) -> None:
    made = bench(kind("later", status=429, retry_after=asked), "fine")
    made.ask()
    assert made.rest == pytest.approx(asked)
    made.clock.now += asked - 0.1
    assert made.rest == pytest.approx(0.1)
    made.clock.now += 0.1
    assert made.ask() == "fine"


def test_nobody_is_left_alone_for_ever() -> None:
    made = bench(RateLimitError("later", status=429, retry_after=1e12))
    made.ask()
    assert made.rest == 86_400


def test_each_failed_probe_doubles_the_cooldown_up_to_the_longest() -> None:
    made = bench(*[BUSY] * 6, "fine")
    made.ask()
    made.ask()
    for least in (10, 20, 40, 60, 60):
        rest = made.rest
        assert rest is not None
        assert least <= rest <= least * 1.1
        made.clock.now += rest
        made.ask()
    assert [made.rest, made.rest] == [None, None], "the last of them answered, and it is closed"


def test_cooldowns_differ_from_call_to_call() -> None:
    rests: set[float | None] = set()
    for _ in range(5):
        made = bench(BUSY)
        made.ask()
        made.ask()
        rests.add(made.rest)
    assert len(rests) > 1


@every_driver
def test_a_refusal_falls_back_and_is_on_the_record(drive: Driver) -> None:
    backend = ScriptedBackend({"small": ConnectionRefusedError("nobody"), "*": "fine"})
    router = Bench(backend, FLEET).router
    assert drive(router, Task("q")).answer is not None
    got = drive(router, Task("q"))
    assert got.answer is not None
    assert backend.asked == ["x:small", "x:spare", "x:spare"]
    row = got.rows[0]
    assert (row.model, row.state, row.error_type, row.cost) == ("x:small", "refused", "CircuitOpenError", 0)
    assert "x:small is left alone for" in (row.error or "")
    assert nothing_is_held(router)


def test_where_all_are_open_the_error_says_when_the_first_may_be_tried() -> None:
    backend = ScriptedBackend(
        {
            "small": RateLimitError("429", status=429, retry_after=90.0),
            "spare": RateLimitError("429", status=429, retry_after=30.0),
            "large": RateLimitError("429", status=429, retry_after=60.0),
        }
    )
    made = Bench(backend, FLEET)
    made.ask()
    made.clock.now += 10
    with pytest.raises(AllModelsFailedError) as caught:
        made.router.run("q")
    assert caught.value.retry_after == pytest.approx(20)
    assert "it is worth trying again in 20.0 s" in str(caught.value)
    assert len(backend.asked) == 3


def half_open(backend: ScriptedBackend) -> Bench:
    """A model that failed, and whose cooldown is over."""
    backend.on("*", BUSY)
    made = Bench(backend)
    made.ask()
    made.ask()
    made.clock.now += 100
    backend.attempts.clear()
    return made


def test_half_open_a_hundred_threads_send_one_call() -> None:
    backend, all_refused = ScriptedBackend(), threading.Event()
    made = half_open(backend)

    def late(attempt: Attempt) -> str:
        assert all_refused.wait(60)
        return "fine"

    backend.on("*", late)
    with ThreadPoolExecutor(100) as pool:
        ended = as_completed([pool.submit(made.ask) for _ in range(100)])
        refused = [next(ended).result() for _ in range(99)]
        all_refused.set()
        assert next(ended).result() == "fine"
    assert len(backend.asked) == 1
    assert {type(one) for one in refused} == {CircuitOpenError}
    assert made.ask() == "fine"


async def test_half_open_a_hundred_tasks_send_one_call() -> None:
    let_go = asyncio.Event()
    let_go.set()

    class Held(ScriptedBackend):
        async def acall(self, attempt: Attempt) -> Outcome:
            await let_go.wait()
            return await super().acall(attempt)

    backend = Held()
    backend.on("*", BUSY)
    made = Bench(backend)
    for _ in range(2):
        with pytest.raises(AllModelsFailedError):
            await made.router.arun("q")
    made.clock.now += 100
    backend.on("*", "fine")
    let_go.clear()
    tasks = [asyncio.create_task(made.router.arun("q")) for _ in range(100)]
    await until(lambda: sum(task.done() for task in tasks) == 99)
    let_go.set()
    said = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in said) == 1
    assert len(backend.asked) == 3
    assert {type(one) for one in said if isinstance(one, BaseException)} == {AllModelsFailedError}


async def test_a_probe_that_is_cancelled_gives_way() -> None:
    backend = ScriptedBackend()
    made = half_open(backend)
    backend.on("*", HANG, "fine")
    task = asyncio.create_task(made.router.arun("q"))
    await until(lambda: backend.open_calls == 1)
    assert isinstance(made.ask(), CircuitOpenError)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.ask() == "fine"
    assert nothing_is_held(made.router)


def test_a_probe_whose_consumer_leaves_closes_the_circuit_if_it_had_begun_to_answer() -> None:
    backend = ScriptedBackend()
    made = half_open(backend)
    backend.on("*", Stream("One ", "two"), Stream("One ", "two"), "fine")
    with made.router.stream("q") as stream:
        next(iter(stream))
    assert [made.ask(), made.ask()] == ["One two", "fine"]


def test_a_probe_that_was_wrong_in_itself_gives_way_to_the_next() -> None:
    backend = ScriptedBackend()
    made = half_open(backend)
    backend.on("*", InvalidRequestError("400", status=400), "fine")
    assert isinstance(made.ask(), InvalidRequestError)
    assert made.ask() == "fine"


@every_driver
def test_a_deadline_that_passes_says_nothing_of_the_model(drive: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Stopwatch(monkeypatch)
    backend = ScriptedBackend({"*": clock.starts(HANG)})
    router = Bench(backend, failures=1).router
    for _ in range(2):
        clock.reset()
        assert drive(router, Task("q", deadline=0.05)).error is not None
    assert len(backend.asked) == 2


# Credentials


class Keyed(ScriptedBackend):
    """Knows by which key each model is called."""

    def __init__(self, keys: dict[str, str], *args: Any) -> None:
        super().__init__(*args)
        self.keys = keys

    def credential(self, model: ModelSpec) -> str | None:
        key = self.keys.get(model.name)
        return fingerprint(key) if key is not None else None


def test_a_refused_credential_closes_the_way_of_its_models_and_of_no_other() -> None:
    backend = Keyed(
        {"small": "sk-one-1234567890", "spare": "sk-two-1234567890", "large": "sk-one-1234567890"},
        {"small": AuthenticationError("no", status=401), "*": "fine"},
    )
    made = Bench(backend, FLEET)
    assert [made.ask(), made.ask()] == ["fine", "fine"]
    assert backend.asked == ["x:small", "x:spare", "x:spare"]
    with pytest.raises(AllModelsFailedError, match="its credential was not accepted"):
        made.router.run("q", min_tier="large")
    backend.keys["large"] = "sk-new-1234567890"
    assert made.router.run("q", min_tier="large").text == "fine", "another key is another credential"
    kept = repr(made.state._book.records)
    assert not any(key in kept for key in backend.keys.values())


def test_where_no_credential_is_known_the_model_alone_is_left_alone() -> None:
    made = Bench(ScriptedBackend({"small": AuthenticationError("no", status=403), "*": "fine"}), FLEET)
    assert [made.ask(), made.ask()] == ["fine", "fine"]
    assert made.backend.asked == ["x:small", "x:spare", "x:spare"]
    assert made.router.run("q", min_tier="large").text == "fine"


def test_the_same_model_at_another_server_or_with_another_key_is_another_way() -> None:
    class Elsewhere(Keyed):
        address = "https://one.example"

        def server(self, model: ModelSpec) -> str | None:
            return self.address

    backend = Elsewhere({"only": "sk-one-1234567890"}, {"*": [ConnectionRefusedError("nobody"), "fine"]})
    made = Bench(backend)
    made.ask()
    assert made.rest is not None
    backend.address = "https://two.example"
    assert made.ask() == "fine"
    backend.address = "https://one.example"
    assert made.rest is not None
    backend.keys["only"] = "sk-two-1234567890"
    assert made.ask() == "fine"


def test_a_fingerprint_tells_keys_apart_and_does_not_tell_them() -> None:
    assert fingerprint("sk-one") == fingerprint("sk-one") != fingerprint("sk-two")
    assert "sk-one" not in fingerprint("sk-one")
    assert fingerprint("\ud800")


# Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures": 0},
        {"failures": 0.5},
        {"failures": "5"},
        {"cooldown": -1.0},
        {"cooldown": None},
        {"longest": float("nan")},
        {"probe": float("inf")},
        {"cooldown": 700.0},
    ],
    ids=str,
)
def test_wrong_figures_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        CircuitBreaker(**wrong)
    assert caught.value.setting in (*wrong, "longest")
