"""Ollama's generating routes: `/api/chat` and `/api/generate`."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tierwise_embedded.engine import Cancellation, Engine, EngineSettings
from tierwise_embedded.errors import ApiError
from tierwise_embedded.generation import Event, Final, Generation, Piece, Rendered, gather, generate
from tierwise_embedded.gojson import CHAT_FIELDS, GENERATE_FIELDS, check_fields, decode
from tierwise_embedded.library import Library
from tierwise_embedded.models import EmbeddedModel
from tierwise_embedded.options import parse_keep_alive, parse_options, parse_think
from tierwise_embedded.prompt import Fit, Prompt, prompt_from_messages, prompt_from_text
from tierwise_embedded.responses import Request, Response, json_reply, ndjson, now
from tierwise_embedded.scheduler import Scheduler

__all__ = ["NativeRoutes", "check_top_logprobs", "check_capabilities"]

Json = dict[str, Any]
_NOTHING = Piece()


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a route spells an answer."""

    fields: Callable[[Piece], Json]
    """Puts a piece into the route's own fields."""
    empty: Json
    """The fields of an answer that was not generated."""
    context: bool = False
    """Whether the last line has the tokens."""


class NativeRoutes:
    """The routes that generate, in Ollama's own shapes."""

    def __init__(self, library: Library, scheduler: Scheduler) -> None:
        self._library = library
        self._scheduler = scheduler

    def chat(self, request: Request) -> Response:
        """Answer `POST /api/chat`."""
        body = decode(request.body)
        check_fields(body, "ChatRequest", CHAT_FIELDS)
        model, common = self._common(body)
        messages: list[Json] = body.get("messages") or []
        tools: list[Json] = body.get("tools") or []
        check_capabilities(model, tools=tools, think=body.get("think"))
        if not messages:
            return self._load(body, model, common, _CHAT, request.cancellation)
        generation = Generation(
            **common,
            prompt=lambda engine, fit: prompt_from_messages(engine, messages, tools, fit),
            parse_tools=bool(tools),
        )
        return self._answer(body, generation, _CHAT, request.cancellation)

    def generate(self, request: Request) -> Response:
        """Answer `POST /api/generate`."""
        body = decode(request.body)
        check_fields(body, "GenerateRequest", GENERATE_FIELDS)
        model, common = self._common(body)
        check_capabilities(model, think=body.get("think"))
        if body.get("suffix"):
            raise ApiError(400, f"registry.ollama.ai/library/{model.name} does not support insert")
        if body.get("template"):
            raise ApiError(400, "an embedded model's template cannot be replaced")
        text: str = body.get("prompt") or ""
        if not text:
            return self._load(body, model, common, _RAW, request.cancellation)
        generation = Generation(**common, prompt=_generate_prompt(body, text))
        return self._answer(body, generation, _RAW if body.get("raw") else _GENERATE, request.cancellation)

    def _common(self, body: Json) -> tuple[EmbeddedModel, Json]:
        keep_alive = parse_keep_alive(body.get("keep_alive"))
        parse_think(body.get("think"))
        check_top_logprobs(body)
        model = self._library.require(body.get("model"))
        return model, {
            "model": model,
            "options": parse_options(body.get("options")),
            "keep_alive": keep_alive,
            "format": body.get("format"),
            "truncate": body.get("truncate") is not False,
            "shift": body.get("shift") is not False,
            "logprobs": bool(body.get("logprobs")),
            "top_logprobs": body.get("top_logprobs") or 0,
            "render_only": bool(body.get("_debug_render_only")),
        }

    def _load(
        self, body: Json, model: EmbeddedModel, common: Json, shape: _Shape, cancellation: Cancellation
    ) -> Response:
        keep_alive: float | None = common["keep_alive"]
        if keep_alive == 0:
            self._scheduler.unload(model)
        else:
            settings = EngineSettings(num_ctx=common["options"].num_ctx(model.context_length))
            with self._scheduler.lease(model, settings, keep_alive, cancellation):
                pass
        reason = "unload" if keep_alive == 0 else "load"
        value = _line(Final(done_reason=reason, metrics={}, tokens=[]), body["model"], shape)
        return ndjson(_once(value)) if body.get("stream") is not False else json_reply(value)

    def _answer(self, body: Json, generation: Generation, shape: _Shape, cancellation: Cancellation) -> Response:
        events = generate(self._scheduler, generation, cancellation)
        model = str(body["model"])
        if body.get("stream") is not False:
            return ndjson(_lines(events, model, shape))
        *pieces, last = list(events)
        return json_reply(_line(last, model, shape, gather(pieces)))


def check_top_logprobs(body: Mapping[str, Any]) -> None:
    """Refuse a `top_logprobs` that Ollama refuses."""
    if not 0 <= (body.get("top_logprobs") or 0) <= 20:
        raise ApiError(400, "top_logprobs must be between 0 and 20")


def check_capabilities(model: EmbeddedModel, *, tools: object = None, think: object = None) -> None:
    """Refuse what a model cannot do."""
    if tools and not model.tools:
        raise ApiError(400, f"registry.ollama.ai/library/{model.name} does not support tools")
    if parse_think(think):
        raise ApiError(400, f'"{model.name}" does not support thinking')


def _generate_prompt(body: Json, text: str) -> Callable[[Engine, Fit], Prompt]:
    context: list[Any] = body.get("context") or []
    if not all(isinstance(token, int) for token in context):
        raise ApiError(400, "json: cannot unmarshal context into Go struct field GenerateRequest.context of type int")
    messages = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    messages.append({"role": "user", "content": text})

    def build(engine: Engine, fit: Fit) -> Prompt:
        if body.get("raw"):
            return prompt_from_text(engine, text, fit)
        if context:
            return prompt_from_text(engine, engine.render(messages, []), fit, context=context)
        return prompt_from_messages(engine, messages, [], fit)

    return build


def _chat_fields(piece: Piece) -> Json:
    message: Json = {"role": "assistant", "content": piece.text}
    return {"message": {**message, "tool_calls": piece.tool_calls} if piece.tool_calls else message}


def _generate_fields(piece: Piece) -> Json:
    return {"response": piece.text}


_CHAT = _Shape(_chat_fields, {"message": {"role": "", "content": ""}})
_GENERATE = _Shape(_generate_fields, {"response": ""}, context=True)
_RAW = _Shape(_generate_fields, {"response": ""})


def _once(value: Json) -> Generator[Json]:
    yield value


def _lines(events: Generator[Event], model: str, shape: _Shape) -> Generator[Json]:
    with closing(events):
        for event in events:
            yield _line(event, model, shape)


def _line(event: Event, model: str, shape: _Shape, gathered: Piece = _NOTHING) -> Json:
    """Put an event into a line; the last one carries what was gathered, when there is no stream."""
    head: Json = {"model": model, "created_at": now()}
    match event:
        case Piece():
            return {**head, **shape.fields(event), "done": False, **_logprobs(event)}
        case Final():
            context = {"context": event.tokens} if shape.context else {}
            end = {"done": True, "done_reason": event.done_reason, **_logprobs(gathered), **context, **event.metrics}
            return {**head, **shape.fields(gathered), **end}
        case Rendered():
            return {**head, **shape.empty, "done": False, "_debug_info": {"rendered_template": event.text}}


def _logprobs(piece: Piece) -> Json:
    return {"logprobs": piece.logprobs} if piece.logprobs else {}
