"""What is counted and measured."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.metrics import Counter, Histogram, Meter

from tierwise.flow import Moved
from tierwise.ledger.rows import Row
from tierwise.observer import Ending
from tierwise.task import Task
from tierwise.telemetry import attributes, names
from tierwise.telemetry.attributes import Attributes

__all__ = ["Instruments"]

_SECONDS: Sequence[float] = tuple(0.01 * 2**power for power in range(14))
"""The buckets that the conventions give: 10 ms, doubled up to 81.92 s."""


class Instruments:
    """The instruments of one meter."""

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, description: str) -> Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_SECONDS)

        def counter(name: str, unit: str, description: str) -> Counter:
            return meter.create_counter(name, unit, description)

        self._duration = seconds(names.METRIC_DURATION, "Time of a call")
        self._first_chunk = seconds(names.METRIC_FIRST_CHUNK, "Time to the first visible chunk of a streamed call")
        self._run_duration = seconds(names.METRIC_RUN_DURATION, "Time of a routed call, with all it took")
        self._input = counter(names.METRIC_INPUT_TOKENS, "{token}", "Input tokens, cached ones included")
        self._output = counter(names.METRIC_OUTPUT_TOKENS, "{token}", "Output tokens, reasoning ones included")
        self._cache_read = counter(names.METRIC_CACHE_READ_TOKENS, "{token}", "Input tokens read from a cache")
        self._cache_write = counter(names.METRIC_CACHE_WRITE_TOKENS, "{token}", "Input tokens written to a cache")
        self._reasoning = counter(names.METRIC_REASONING_TOKENS, "{token}", "Output tokens of reasoning")
        self._calls = counter(names.CALLS, "{call}", "Calls that were sent")
        self._cost = counter(names.COST, "{USD}", "Cost of calls whose price is known")
        self._refusals = counter(names.REFUSALS, "{call}", "Calls that were never sent")
        self._losses = counter(names.STATE_LOSSES, "{call}", "Calls for which the limits' state was lost")
        self._moves = {
            "fallback": counter(names.FALLBACKS, "{fallback}", "Times a call failed and another model was asked"),
            "escalation": counter(names.ESCALATIONS, "{escalation}", "Times a weak answer was taken up a tier"),
        }

    def call(self, row: Row, inference: Attributes, context: Context, *, task: Task) -> None:
        """Counts a call that was sent.

        Args:
            row: The call, at the run's end.
            inference: Whose inference it was; empty for a call that is no model's.
            context: The context of its span.
            task: What was asked.
        """
        labels = attributes.call_labels(row)
        self._calls.add(1, labels, context)
        if row.cost is not None:
            self._cost.add(float(row.cost), labels, context)
        if inference:
            self._inference(row, inference, context, task)

    def _inference(self, row: Row, inference: Attributes, context: Context, task: Task) -> None:
        labels = dict(inference)
        if row.answered_by is not None:
            labels[names.RESPONSE_MODEL] = row.answered_by
        if row.first_token is not None:
            self._first_chunk.record(row.first_token, labels, context)
        self._tokens(row, labels, context, task)
        if row.latency is not None:
            failed = {names.ERROR_TYPE: row.error_type} if row.error_type is not None else {}
            self._duration.record(row.latency, labels | failed, context)

    def _tokens(self, row: Row, labels: Attributes, context: Context, task: Task) -> None:
        usage = row.usage
        if usage is None:
            nothing = labels | {names.TOKEN_MODALITY: "unknown"}
            self._input.add(0, nothing, context)
            self._output.add(0, nothing, context)
            return
        if usage.estimated:
            labels = labels | {names.ATTEMPT_ESTIMATED: True}
        given = labels | {names.TOKEN_MODALITY: "unknown" if task.has_images else "text"}
        made = labels | {names.TOKEN_MODALITY: "text"}
        self._input.add(usage.input_tokens or 0, given, context)
        self._output.add(usage.output_tokens or 0, made, context)
        for counter, tokens, told in (
            (self._cache_read, usage.cached_tokens, given),
            (self._cache_write, usage.cache_write_tokens, given),
            (self._reasoning, usage.reasoning_tokens, made),
        ):
            if tokens:
                counter.add(tokens, told, context)

    def refused(self, row: Row, context: Context) -> None:
        """Counts a call that was never sent."""
        self._refusals.add(1, attributes.unsent_labels(row), context)

    def moved(self, note: Moved, told: Attributes, context: Context) -> None:
        """Counts a fallback or an escalation."""
        self._moves[note.kind].add(1, told, context)

    def lost(self, told: Attributes, context: Context) -> None:
        """Counts a call whose limits could not be asked, or told how it ended."""
        self._losses.add(1, told, context)

    def ran(self, seconds: float, job: str | None, ending: Ending, context: Context) -> None:
        """Measures a run."""
        self._run_duration.record(seconds, attributes.run_labels(job, ending), context)
