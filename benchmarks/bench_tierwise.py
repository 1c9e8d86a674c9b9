"""Tierwise's own cost: a decision, and a routed call beside a direct call of the same backend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from tasks import LENGTHS, STEPS, request
from tierwise import (
    Always,
    Cascade,
    Fleet,
    Message,
    ModelSpec,
    Price,
    Router,
    Rule,
    Single,
    SQLiteLedger,
    Task,
    Telemetry,
    Tier,
    Tool,
    ToolCall,
    Usage,
)
from tierwise.attempt import Attempt, Outcome
from tierwise.backends import Backend
from tierwise.policies import Complexity

SMALL = ModelSpec("local:small", price=Price(0, 0), trust="local")
LARGE = ModelSpec("local:large", price=Price(3, 15), trust="local")
FLEET = Fleet([Tier("small", SMALL), Tier("large", LARGE)])
SHORT = request(150)


class Instant(Backend):
    """Answers at once, so that what is measured is the routing alone."""

    def call(self, attempt: Attempt) -> Outcome:
        return Outcome(attempt, text="The first.", usage=Usage(40, 3), model=attempt.model.name)

    async def acall(self, attempt: Attempt) -> Outcome:
        return self.call(attempt)


BACKEND = Instant()


def accepts(outcome: Outcome) -> bool:
    return bool(outcome.text)


def make(fleet: Fleet = FLEET, **options: Any) -> Router:
    return Router(fleet, strategy=Cascade(accepts), backends={"local": BACKEND}, **options)


class Discarding(SpanExporter):
    """Takes spans and does nothing with them, so that what is measured is the making of them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


@pytest.fixture
def router(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Router]:
    """With and without what costs time; a ledger is closed before the next, for its writer works in a thread."""
    if request.param == "durable":
        with SQLiteLedger(tmp_path / "ledger.db") as ledger:
            yield make(ledger=ledger)
    elif request.param == "traced":
        tracers, meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
        tracers.add_span_processor(SimpleSpanProcessor(Discarding()))
        yield make(telemetry=Telemetry(tracer_provider=tracers, meter_provider=meters))
    else:
        yield make()


ROUTERS = pytest.mark.parametrize("router", ["off", "durable", "traced"], indirect=True)


def measure(benchmark: Any, function: Callable[[], Any]) -> None:
    benchmark.pedantic(function, rounds=3_000, warmup_rounds=300)


@pytest.mark.parametrize("length", LENGTHS)
def test_decide(benchmark: Any, length: int) -> None:
    router, task = make(), Task(request(length))
    measure(benchmark, lambda: router.decide(task))


@pytest.mark.parametrize("length", LENGTHS)
def test_decide_by_rules_and_complexity(benchmark: Any, length: int) -> None:
    policy = Rule(pattern=r"(?i)\bmigrat", tier="large") | Complexity() | Always("small")
    router = Router(FLEET, policy=policy, strategy=Single(), backends={"local": BACKEND})
    task = Task(request(length))
    measure(benchmark, lambda: router.decide(task))


@pytest.mark.parametrize("steps", STEPS)
def test_decide_in_an_agent(benchmark: Any, steps: int) -> None:
    said = [Message("user", SHORT)]
    for i in range(steps):
        call = ToolCall("look", {"place": i}, id=f"{i}")
        said += [Message("assistant", tool_calls=(call,)), Message("tool", f"{i}", name="look", tool_call_id=f"{i}")]
    router, task = make(), Task(said, tools=[Tool("look")])
    measure(benchmark, lambda: router.decide(task))


def direct() -> Outcome:
    return BACKEND.call(Attempt(Task(SHORT), SMALL, "small"))


async def adirect() -> Outcome:
    return await BACKEND.acall(Attempt(Task(SHORT), SMALL, "small"))


def drained(opened: Any) -> int:
    with opened as stream:
        return sum(len(chunk.text) for chunk in stream)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_direct_sync(benchmark: Any) -> None:
    measure(benchmark, direct)


def test_direct_async(benchmark: Any, loop: asyncio.AbstractEventLoop) -> None:
    measure(benchmark, lambda: loop.run_until_complete(adirect()))


def test_direct_stream(benchmark: Any) -> None:
    measure(benchmark, lambda: drained(BACKEND.open(Attempt(Task(SHORT), SMALL, "small"))))


@ROUTERS
def test_routed_sync(benchmark: Any, router: Router) -> None:
    measure(benchmark, lambda: router.run(SHORT))


@ROUTERS
def test_routed_async(benchmark: Any, router: Router, loop: asyncio.AbstractEventLoop) -> None:
    measure(benchmark, lambda: loop.run_until_complete(router.arun(SHORT)))


@ROUTERS
def test_routed_stream(benchmark: Any, router: Router) -> None:
    measure(benchmark, lambda: drained(router.stream(SHORT)))
