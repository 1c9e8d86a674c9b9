"""Runs one generation on a leased model: from a checked request to pieces of text and a last event with metrics."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tierwise_embedded.engine import Cancellation, Engine, EngineSettings
from tierwise_embedded.errors import ApiError, EngineError
from tierwise_embedded.models import EmbeddedModel
from tierwise_embedded.options import Options
from tierwise_embedded.prompt import Fit, Prompt
from tierwise_embedded.scheduler import Scheduler
from tierwise_embedded.tools import ToolCallParser

__all__ = ["Generation", "Piece", "Final", "Rendered", "Event", "gather", "generate", "check_format"]

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A checked request."""

    model: EmbeddedModel
    prompt: Callable[[Engine, Fit], Prompt]
    """Builds the prompt, once the model is loaded."""
    options: Options
    keep_alive: float | None = None
    format: object = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: int = 0
    parse_tools: bool = False
    render_only: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the answer."""

    text: str = ""
    tool_calls: list[Json] = field(default_factory=list[Json])
    logprobs: list[Json] = field(default_factory=list[Json])


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """The end of the answer."""

    done_reason: str
    metrics: Mapping[str, int]
    """Durations in nanoseconds and token counts, under Ollama's names; zeros are left out."""
    tokens: list[int]
    """The prompt's and the answer's tokens."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt alone, for a request that asked for nothing else."""

    text: str


Event = Piece | Final | Rendered


def gather(events: Iterable[Event]) -> Piece:
    """Join the pieces among events into one."""
    pieces = [event for event in events if isinstance(event, Piece)]
    return Piece(
        "".join(piece.text for piece in pieces),
        [call for piece in pieces for call in piece.tool_calls],
        [entry for piece in pieces for entry in piece.logprobs],
    )


def check_format(value: object) -> object:
    """Return the JSON Schema that a request's `format` asks for, or `None`.

    Raises:
        ApiError: 500, as Ollama answers it, for anything else than `"json"` or an object.
    """
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "object"}
    if isinstance(value, dict):
        return value  # pyright: ignore[reportUnknownVariableType]
    quoted = f'\\"{value}\\"' if isinstance(value, str) else str(value)
    raise ApiError(500, f'invalid format: "{quoted}"; expected "json" or a valid JSON Schema object')


def generate(scheduler: Scheduler, generation: Generation, cancellation: Cancellation) -> Generator[Event]:
    """Yield the events of a generation; closing the iterator ends it and frees the model."""
    started = time.perf_counter_ns()
    num_ctx = generation.options.num_ctx(generation.model.context_length)
    settings = EngineSettings(num_ctx=num_ctx)
    with scheduler.lease(generation.model, settings, generation.keep_alive, cancellation) as lease:
        loaded = time.perf_counter_ns()
        schema = check_format(generation.format)
        keep = generation.options.num_keep
        fit = Fit(num_ctx=num_ctx, num_keep=keep, truncate=generation.truncate, shift=generation.shift)
        prompt = _build(generation, lease.engine, fit)
        if generation.render_only:
            yield Rendered(prompt.text)
            return
        request = _engine_request(generation, prompt, schema, num_ctx)
        answer = _Answer(prompt.tokens, parse_tools=generation.parse_tools)
        for event in lease.engine.complete(request, cancellation):
            yield from answer.pieces(event, generation)
        yield answer.final(started, loaded)


def _build(generation: Generation, engine: Engine, fit: Fit) -> Prompt:
    try:
        return generation.prompt(engine, fit)
    except EngineError as error:
        raise ApiError.of(error) from error


def _engine_request(generation: Generation, prompt: Prompt, schema: object, num_ctx: int) -> Json:
    limit = generation.options.num_predict(num_ctx)
    if not generation.shift:
        limit = min(limit, num_ctx - len(prompt.tokens))
    request: Json = {
        **generation.options.sampling(),
        "prompt": prompt.tokens,
        "n_predict": limit,
        "return_tokens": True,
        "cache_prompt": True,
    }
    if generation.logprobs:
        request["n_probs"] = max(generation.top_logprobs, 1)
    if schema is not None:
        request["json_schema"] = schema
    return request


class _Answer:
    """What has been generated so far."""

    def __init__(self, prompt: list[int], *, parse_tools: bool) -> None:
        self._tokens = list(prompt)
        self._parser = ToolCallParser() if parse_tools else None
        self._last: Json = {}

    def pieces(self, event: Json, generation: Generation) -> Iterator[Piece]:
        """Turn an event of the engine into pieces."""
        self._tokens += event.get("tokens") or []
        text = str(event.get("content") or "")
        probabilities: list[Json] = event.get("completion_probabilities") or []
        logprobs = [_logprob(item, generation.top_logprobs) for item in probabilities]
        calls: list[Json] = []
        if self._parser:
            text, calls = self._parser.feed(text)
        if event.get("stop"):
            self._last = event
            if self._parser:
                rest, more = self._parser.finish()
                text, calls = text + rest, calls + more
        if text or calls or logprobs:
            yield Piece(text, calls, logprobs)

    def final(self, started: int, loaded: int) -> Final:
        """Return the last event, from the engine's own counts and times."""
        timings: Json = self._last.get("timings") or {}
        metrics = {
            "total_duration": time.perf_counter_ns() - started,
            "load_duration": loaded - started,
            "prompt_eval_count": int(self._last.get("tokens_evaluated") or 0),
            "prompt_eval_duration": int(timings.get("prompt_ms", 0) * 1_000_000),
            "eval_count": int(self._last.get("tokens_predicted") or 0),
            "eval_duration": int(timings.get("predicted_ms", 0) * 1_000_000),
        }
        reason = "length" if self._last.get("stop_type") == "limit" else "stop"
        return Final(done_reason=reason, metrics={k: v for k, v in metrics.items() if v}, tokens=self._tokens)


def _logprob(item: Json, top: int) -> Json:
    entry = {"token": item["token"], "logprob": item["logprob"], "bytes": item["bytes"]}
    if top:
        fields = ("token", "logprob", "bytes")
        entry["top_logprobs"] = [{name: other[name] for name in fields} for other in item["top_logprobs"][:top]]
    return entry
