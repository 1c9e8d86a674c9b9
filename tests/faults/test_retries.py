"""How often a call is made again, after what pause, and what bounds all calls of a run together."""

from __future__ import annotations

import pytest
from tierwise import Attempt, Fleet, ModelSpec, Outcome, Price, Retry, Single, Task, Tier
from tierwise.context import Context
from tierwise.errors import AllModelsFailedError, StreamBrokenError, TooManyCallsError
from tierwise.flow import Flow, call, gather
from tierwise.strategies import Cascade, Strategy
from tierwise.testing.provider import Reply

from .scene import Scene, Way, no

HELLO = Reply(text="Hello there.")
QUICK = Retry(pause=0.01)


@pytest.mark.parametrize("retry", [Retry(longest=1_000), Retry()], ids=["the deadline", "the retry's own bound"])
def test_fault_01_no_pause_goes_past_the_deadline_or_the_bound(scene: Scene, way: Way, retry: Retry) -> None:
    scene.provider.on("small", Reply(status=429, retry_after=50), HELLO)
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Single(), retry=retry), way=way, deadline=20)
    assert got.answer.model == "ollama:large"
    assert scene.models == ["small", "large"]


def test_fault_01_a_short_pause_is_made(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(status=429, retry_after_ms=30), HELLO)
    got = scene.ask(scene.router(strategy=Single(), retry=QUICK), way=way, deadline=20)
    assert got.answer.model == "ollama:small"
    assert scene.models == ["small", "small"]


def test_fault_02_who_asks_to_wait_past_the_deadline_is_passed_over(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(status=503, retry_after=30))
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Single(), retry=Retry(longest=600)), way=way, deadline=20)
    assert got.answer.model == "ollama:large"
    assert [row.model for row in got.rows] == ["ollama:small", "ollama:large"]


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_fault_03_a_server_that_fails_is_asked_once_more_then_the_next(scene: Scene, way: Way, status: int) -> None:
    failing = Reply(status=status, error="overloaded")
    scene.provider.on("small", failing, HELLO)
    router = scene.router(strategy=Single(), retry=QUICK)
    assert scene.ask(router, way=way).answer.model == "ollama:small"
    scene.provider.on("small", failing)
    scene.provider.on("large", HELLO)
    got = scene.ask(router, way=way)
    assert got.answer.model == "ollama:large"
    assert scene.models == ["small", "small", "small", "small", "large"]
    assert len({row.call_id for row in got.rows}) == 3


@pytest.mark.parametrize(
    "broken",
    [Reply(refuse=True), Reply(text="One two", disconnect_after=0), Reply(corrupt="truncated"), Reply(stall=True)],
    ids=["reset", "cut off", "truncated", "no token"],
)
def test_fault_10_what_breaks_before_anything_was_shown_may_be_tried_again(
    scene: Scene, way: Way, broken: Reply
) -> None:
    scene.provider.on("small", broken, HELLO)
    backend = scene.backend(timeouts={"first_token": 1.0})
    router = scene.router("small", strategy=Single(), retry=QUICK, backends={"ollama": backend})
    got = scene.ask(router, way=way)
    assert got.answer.text == "Hello there."
    assert scene.models == ["small", "small"]
    assert got.shown in ("", "Hello there.")


def test_fault_11_after_something_was_shown_nothing_is_tried_again(scene: Scene, streamed: Way) -> None:
    scene.provider.on("small", Reply(text="One two three", disconnect_after=1), HELLO)
    got = scene.ask(scene.router(strategy=Single(), retry=QUICK), way=streamed)
    assert isinstance(got.error, StreamBrokenError)
    assert scene.models == ["small"]


# What bounds a run


@pytest.mark.parametrize("strategy", [Single(), Cascade(no)], ids=["single", "cascade"])
def test_fault_22_no_model_is_asked_again_because_another_failed(scene: Scene, way: Way, strategy: Strategy) -> None:
    models = {name: ModelSpec(f"ollama:{name}", price=Price(1, 1)) for name in ("small", "spare", "large")}
    fleet = Fleet(
        [
            Tier("small", [models["small"], models["spare"]]),
            Tier("medium", [models["spare"], models["small"]]),
            Tier("large", [models["small"], models["large"]]),
        ]
    )
    for name in models:
        scene.provider.on(name, Reply(status=500))
    got = scene.ask(scene.router(fleet=fleet, strategy=strategy), way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert scene.models == ["small", "spare", "large"]


class Circle(Strategy):
    """A strategy that never comes to an end."""

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        while True:
            for tier in context.ladder:
                yield from call(Attempt(task, tier.models[0], tier.name))


class Crowd(Strategy):
    """A strategy that asks for more and more at once."""

    def flow(self, task: Task, context: Context) -> Flow[Outcome]:
        """See `Strategy`."""
        model, width = context.top.models[0], 1
        while True:
            yield from gather(*(call(Attempt(task, model, context.top.name)) for _ in range(width)))
            width *= 2


@pytest.mark.parametrize("reply", [HELLO, Reply(status=500)], ids=["answers", "failures"])
def test_fault_22_a_strategy_that_goes_in_circles_is_stopped(scene: Scene, way: Way, reply: Reply) -> None:
    for name in ("small", "large"):
        scene.provider.on(name, reply)
    got = scene.ask(scene.router(strategy=Circle(), max_calls=7), way=way)
    assert isinstance(got.error, TooManyCallsError)
    assert got.error.max_calls == 7
    assert len(got.rows) == scene.provider.count() == 7


def test_fault_22_so_is_one_that_asks_for_more_and_more_at_once(scene: Scene, way: Way) -> None:
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Crowd(), max_calls=10), way=way)
    assert isinstance(got.error, TooManyCallsError)
    assert scene.provider.count() == 1 + 2 + 4, "of a batch that is too large nothing is sent"


def test_fault_22_so_is_one_whose_calls_are_all_refused(scene: Scene, way: Way) -> None:
    from tierwise import Budget

    budget = Budget(tokens=1, on_exhausted="downgrade")
    got = scene.ask(scene.router(strategy=Circle(), limits=[budget], max_calls=7), way=way)
    assert isinstance(got.error, TooManyCallsError)
    assert (len(got.rows), scene.provider.count()) == (7, 0)


def test_fault_23_the_tries_of_a_run_are_bounded_in_total(scene: Scene, way: Way) -> None:
    for name in ("small", "spare", "large"):
        scene.provider.on(name, Reply(status=503))
    got = scene.ask(scene.router("small+spare", "large", strategy=Single(), retry=Retry(total=2, pause=0.01)), way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert scene.models == ["small", "small", "spare", "spare", "large"], "no client repeats anything by itself"
