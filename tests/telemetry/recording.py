"""A router over two Ollama tiers on loopback, and what OpenTelemetry's own SDK records of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from tierwise import Fleet, ModelSpec, Outcome, Price, Router, Single, Telemetry, Tier
from tierwise.testing.provider import LoopbackProvider
from tierwise_ollama import OllamaBackend

SMALL = ModelSpec("ollama:small", price=Price(1, 2))
LARGE = ModelSpec("ollama:large", price=Price(10, 20), temperature=0.5, max_output_tokens=64)
FLEET = Fleet([Tier("small", SMALL), Tier("large", LARGE)])

Drive = Callable[..., Any]


def by_run(router: Router, task: Any, **fields: Any) -> Any:
    return router.run(task, **fields)


def by_arun(router: Router, task: Any, **fields: Any) -> Any:
    return asyncio.run(router.arun(task, **fields))


def by_stream(router: Router, task: Any, **fields: Any) -> Any:
    with router.stream(task, **fields) as stream:
        for _ in stream:
            pass
        return stream.reply


def by_astream(router: Router, task: Any, **fields: Any) -> Any:
    async def main() -> Any:
        async with router.astream(task, **fields) as stream:
            async for _ in stream:
                pass
            return stream.reply

    return asyncio.run(main())


every_driver = pytest.mark.parametrize("drive", [by_run, by_arun, by_stream, by_astream])


class Recording:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader])

    def telemetry(self, *, content: bool = False) -> Telemetry:
        return Telemetry(tracer_provider=self.tracers, meter_provider=self.meters, content=content)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def run(self) -> ReadableSpan:
        """The one span of a routed call."""
        (found,) = [span for span in self.spans if span.name == "tierwise.run"]
        return found

    @property
    def attempts(self) -> list[ReadableSpan]:
        """The spans of calls, in the receipt's order; all of them lie beneath the routed call's."""
        found = [span for span in self.spans if "tierwise.attempt.number" in told(span)]
        for span in found:
            assert span.parent is not None
            assert span.parent == self.run.context
            assert self.run.start_time is not None
            assert self.run.end_time is not None
            assert span.start_time is not None
            assert span.end_time is not None
            assert self.run.start_time <= span.start_time <= span.end_time <= self.run.end_time
        return sorted(found, key=lambda span: cast("int", told(span)["tierwise.attempt.number"]))

    def points(self, metric: str) -> list[tuple[Mapping[str, Any], float]]:
        """What was measured: labels, and a counter's value or a histogram's count."""
        data = self._reader.get_metrics_data()
        found: list[tuple[Mapping[str, Any], float]] = []
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "tierwise"
                for each in scope.metrics:
                    if each.name == metric:
                        found += [(point.attributes or {}, _value(point)) for point in each.data.data_points]
        return found

    def dump(self) -> str:
        """All of it, as text."""
        data = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + (data.to_json() if data is not None else "")


def _value(point: Any) -> float:
    if isinstance(point, NumberDataPoint):
        return point.value
    assert isinstance(point, HistogramDataPoint)
    return point.count


def told(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def events(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def is_inference(span: ReadableSpan) -> bool:
    return span.kind == SpanKind.CLIENT


def accepts(outcome: Outcome) -> bool:
    return True


def rejects(outcome: Outcome) -> bool:
    return False


def accepts_large(outcome: Outcome) -> bool:
    return outcome.attempt.tier == "large"


def router(provider: LoopbackProvider, telemetry: Any, **options: Any) -> Router:
    settings: dict[str, Any] = {"strategy": Single(), "backends": {"ollama": OllamaBackend(provider.url)}} | options
    return Router(FLEET, telemetry=telemetry, **settings)
