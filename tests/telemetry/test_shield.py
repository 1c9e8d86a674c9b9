"""Telemetry never breaks a run: whatever fails in it is logged once, and the run goes on."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from tierwise import Cascade, Router, Telemetry
from tierwise.observer import Watch
from tierwise.task import Task
from tierwise.testing.provider import LoopbackProvider
from tierwise_ollama import OllamaBackend

from .recording import Drive, Recording, accepts_large, every_driver, router


class Defect(Exception):
    """Not foreseen."""


class BrokenExporter(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        raise Defect("the exporter")


class BrokenAtEnd(SpanProcessor):
    """Breaks at the end of a span, and counts what it was told of."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span.name)
        raise Defect("at the end")


class BrokenAtStart(SpanProcessor):
    def on_start(self, span: Span, parent_context: Any = None) -> None:
        raise Defect("at the start")


class Broken:
    """An observer of which everything breaks."""

    def __init__(self, *, from_the_start: bool) -> None:
        self._from_the_start = from_the_start

    def watch(self, task: Task, run_id: str) -> Watch:
        if self._from_the_start:
            raise Defect("watch")
        return self  # pyright: ignore[reportReturnType]

    def calling(self, *_: Any, streamed: bool) -> Any:
        return self

    def __enter__(self) -> None:
        raise Defect("enter")

    def __exit__(self, *_: Any) -> None:
        raise Defect("exit")

    def __getattr__(self, name: str) -> Any:
        raise Defect(name)


def with_processor(processor: SpanProcessor) -> Telemetry:
    tracers = TracerProvider()
    tracers.add_span_processor(processor)
    return Telemetry(tracer_provider=tracers)


BREAKING = {
    "exporter": lambda: with_processor(SimpleSpanProcessor(BrokenExporter())),
    "end": lambda: with_processor(BrokenAtEnd()),
    "start": lambda: with_processor(BrokenAtStart()),
    "watch": lambda: Broken(from_the_start=True),
    "everything": lambda: Broken(from_the_start=False),
}


def answered(reply: Any) -> Any:
    return reply.text, reply.status, [(r.model, r.purpose, r.verdict, r.state, r.reason) for r in reply.attempts]


@every_driver
@pytest.mark.parametrize("kind", BREAKING)
def test_what_breaks_changes_nothing(drive: Drive, kind: str, provider: LoopbackProvider) -> None:
    strategy = Cascade(accepts_large)
    plain = drive(router(provider, None, strategy=strategy), "Hello?")
    assert answered(drive(router(provider, BREAKING[kind](), strategy=strategy), "Hello?")) == answered(plain)


@pytest.mark.parametrize("kind", ["end", "start", "watch", "everything"])
def test_it_is_logged_once(kind: str, provider: LoopbackProvider, caplog: pytest.LogCaptureFixture) -> None:
    made = router(provider, BREAKING[kind]())
    with caplog.at_level(logging.WARNING, logger="tierwise"):
        made.run("Hello?")
        made.run("Hello again?")
    (record,) = [record for record in caplog.records if record.name == "tierwise"]
    assert "runs go on without it" in record.message
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], Defect)


def test_a_span_that_cannot_end_leaves_the_others_theirs(provider: LoopbackProvider) -> None:
    processor = BrokenAtEnd()
    router(provider, with_processor(processor), strategy=Cascade(accepts_large)).run("Hello?")
    assert processor.ended == ["chat small", "chat large", "tierwise.run"]


def test_what_stops_a_program_stops_it_here_too(provider: LoopbackProvider) -> None:
    class Stopping:
        def watch(self, task: Task, run_id: str) -> Watch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        router(provider, Stopping()).run("Hello?")


def test_using_another_backend_keeps_the_telemetry(provider: LoopbackProvider, recording: Recording) -> None:
    made: Router = router(provider, recording.telemetry())
    made.using(OllamaBackend(provider.url)).run("Hello?")
    assert len(recording.attempts) == 1
