"""What a router is given."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from tierwise.errors import MissingExtraError
from tierwise.observer import Watch
from tierwise.task import Task

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["Telemetry"]


class Telemetry:
    """Spans and metrics of every run of a router, for OpenTelemetry: `Router(fleet, telemetry=Telemetry())`.

    A routed call is one span, and each call that it makes is one beneath it. While a backend works, its call's span is
    the current one, so that what an HTTP client's instrumentation sees lies beneath that. What is current where the
    run is made is the parent of the whole.

    An exporter that fails, or is slow, does not fail or slow a run: use a batching processor, and what it raises is
    logged, each class of error once.

    Args:
        tracer_provider: Where spans go; the process's own if not given.
        meter_provider: Where metrics go; the process's own if not given.
        content: Whether requests, answers (rejected drafts and judges' among them) and evidence that quotes them are
            recorded. The text of errors never is: some providers repeat a credential in it.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        content: bool = False,
    ) -> None:
        try:
            from tierwise.telemetry.spans import RunSpans, tools
        except ModuleNotFoundError as error:
            raise MissingExtraError("telemetry", "tierwise[otel]") from error
        self._spans = RunSpans
        self._tools = tools(tracer_provider, meter_provider, version("tierwise"), content=content)

    def watch(self, task: Task, run_id: str) -> Watch:
        """See `Observer`."""
        return self._spans(self._tools, task, run_id)
