"""OpenAI's routes, as Ollama serves them: `/v1/chat/completions` and `/v1/models`."""

import json
import secrets
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, cast

from tierwise_embedded.errors import ApiError, EngineError
from tierwise_embedded.generation import Event, Final, Generation, Piece, gather, generate
from tierwise_embedded.gojson import OPENAI_CHAT_FIELDS, check_fields, decode
from tierwise_embedded.library import Library, modified_at
from tierwise_embedded.models import EmbeddedModel, resolve_name
from tierwise_embedded.native import check_capabilities, check_top_logprobs
from tierwise_embedded.options import parse_options
from tierwise_embedded.prompt import prompt_from_messages
from tierwise_embedded.responses import JSON, Reply, Request, Response, Stream, json_reply
from tierwise_embedded.scheduler import Scheduler

__all__ = ["OpenAIRoutes", "openai_error"]

Json = dict[str, Any]

_ERROR_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_SAMPLING = ("seed", "frequency_penalty", "presence_penalty")


class OpenAIRoutes:
    """The routes in OpenAI's shapes."""

    def __init__(self, library: Library, scheduler: Scheduler) -> None:
        self._library = library
        self._scheduler = scheduler

    def models(self, request: Request) -> Response:
        """Answer `GET /v1/models`."""
        data = [_model_entry(model) for model in self._library.models()]
        return json_reply({"object": "list", "data": data}, content_type=JSON, end="\n")

    def model(self, request: Request) -> Response:
        """Answer `GET /v1/models/NAME`."""
        name = resolve_name(request.path.removeprefix("/v1/models/"))
        return json_reply(_model_entry(self._library.require(name)), content_type=JSON, end="\n")

    def chat(self, request: Request) -> Response:
        """Answer `POST /v1/chat/completions`."""
        body = decode(request.body)
        check_fields(body, "ChatCompletionRequest", OPENAI_CHAT_FIELDS)
        check_top_logprobs(body)
        if not body.get("messages"):
            raise ApiError(400, "[] is too short - 'messages'")
        model = self._library.require(body.get("model"))
        events = generate(self._scheduler, _generation(body, model), request.cancellation)
        head = {
            "id": f"chatcmpl-{secrets.randbelow(1000)}",
            "created": int(time.time()),
            "model": body["model"],
            "system_fingerprint": "fp_ollama",
        }
        if body.get("stream"):
            stream_options: Json = body.get("stream_options") or {}
            usage = bool(stream_options.get("include_usage"))
            return Stream("text/event-stream", _sse(_chunks(events, head, usage=usage)), openai_error)
        return json_reply(_completion(list(events), head), content_type=JSON, end="\n")


def openai_error(error: ApiError) -> Reply:
    """Put an error into OpenAI's shape."""
    return json_reply(_error_body(error.message, error.status), error.status, content_type=JSON, end="\n")


def _error_body(message: str, status: int) -> Json:
    kind = _ERROR_TYPES.get(status, "api_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _model_entry(model: EmbeddedModel) -> Json:
    created = int(datetime.fromisoformat(modified_at(model)).timestamp())
    return {"id": model.name, "object": "model", "created": created, "owned_by": "library"}


def _generation(body: Json, model: EmbeddedModel) -> Generation:
    messages = [_ollama_message(message) for message in body["messages"]]
    tools: list[Json] = body.get("tools") or []
    effort = body.get("reasoning_effort")
    check_capabilities(model, tools=tools, think=None if effort == "none" else effort)
    return Generation(
        model=model,
        prompt=lambda engine, fit: prompt_from_messages(engine, messages, tools, fit),
        options=parse_options(_options(body)),
        format=_format(body.get("response_format") or {}),
        logprobs=bool(body.get("logprobs")),
        top_logprobs=body.get("top_logprobs") or 0,
        parse_tools=bool(tools),
    )


def _options(body: Json) -> Json:
    stop = body.get("stop")
    return {
        "temperature": 1.0 if body.get("temperature") is None else body["temperature"],
        "top_p": 1.0 if body.get("top_p") is None else body["top_p"],
        # `max_completion_tokens` is not read: Ollama does not read it either.
        "num_predict": body.get("max_tokens"),
        "stop": [stop] if isinstance(stop, str) else stop,
        **{name: body.get(name) for name in _SAMPLING},
    }


def _format(response_format: Mapping[str, Any]) -> object:
    match response_format.get("type"):
        case "json_object":
            return "json"
        case "json_schema":
            named: object = response_format.get("json_schema")
            return cast("Json", named).get("schema") if isinstance(named, dict) else None
        case _:
            return None


def _ollama_message(message: Json) -> Json:
    content: Any = message.get("content")
    if isinstance(content, list):
        parts = cast("list[Json]", content)
        if any(part.get("type") != "text" for part in parts):
            raise ApiError(400, "invalid message format")
        content = "\n".join(str(part.get("text") or "") for part in parts)
    return {**message, "content": content}


def _tool_calls(calls: list[Json]) -> list[Json]:
    return [
        {
            "id": call["id"],
            "index": call["function"]["index"],
            "type": "function",
            "function": {
                "name": call["function"]["name"],
                "arguments": json.dumps(call["function"]["arguments"], separators=(",", ":")),
            },
        }
        for call in calls
    ]


def _usage(metrics: Mapping[str, int]) -> Json:
    prompt, completion = metrics.get("prompt_eval_count", 0), metrics.get("eval_count", 0)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _finish_reason(final: Final, called: bool) -> str:
    return "tool_calls" if called else final.done_reason


def _completion(events: list[Event], head: Json) -> Json:
    answer = gather(events)
    final = next(event for event in events if isinstance(event, Final))
    message: Json = {"role": "assistant", "content": answer.text}
    if answer.tool_calls:
        message["tool_calls"] = _tool_calls(answer.tool_calls)
    choice: Json = {"index": 0, "message": message, "finish_reason": _finish_reason(final, bool(answer.tool_calls))}
    if answer.logprobs:
        choice["logprobs"] = {"content": answer.logprobs}
    return {**head, "object": "chat.completion", "choices": [choice], "usage": _usage(final.metrics)}


def _chunks(events: Generator[Event], head: Json, *, usage: bool) -> Generator[Json]:
    head = {**head, "object": "chat.completion.chunk"}
    role: Json = {"role": "assistant"}
    called = False
    with closing(events):
        for event in events:
            if isinstance(event, Piece):
                called = called or bool(event.tool_calls)
                yield {**head, "choices": [_chunk_choice(event, role)]}
                role = {}
            elif isinstance(event, Final):
                reason = _finish_reason(event, called)
                yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
                if usage:
                    yield {**head, "choices": [], "usage": _usage(event.metrics)}


def _chunk_choice(piece: Piece, role: Json) -> Json:
    delta: Json = {**role, "content": piece.text}
    if piece.tool_calls:
        delta["tool_calls"] = _tool_calls(piece.tool_calls)
    choice: Json = {"index": 0, "delta": delta, "finish_reason": None}
    return {**choice, "logprobs": {"content": piece.logprobs}} if piece.logprobs else choice


def _sse(chunks: Generator[Json]) -> Generator[bytes]:
    begun = False
    try:
        for chunk in chunks:
            yield _event(chunk)
            begun = True
        yield b"data: [DONE]\n\n"
    except (ApiError, EngineError) as error:
        if not begun:
            raise
        yield _event(_error_body(str(error), 500))
    finally:
        chunks.close()


def _event(value: object) -> bytes:
    return f"data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()
