"""OpenAI's wire format: chat completions as server-sent events or one JSON body."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tierwise.testing.provider.catalog import Catalog, ModelCard
from tierwise.testing.provider.plan import (
    Bill,
    Frame,
    Piece,
    Plan,
    bill,
    close,
    encode,
    split,
    spread,
    text_pieces,
    whole,
)
from tierwise.testing.provider.script import Call, JsonObject, Reply, Request, Token, count_tokens

__all__ = [
    "CREATED",
    "JSON_TYPE",
    "STREAM_TYPE",
    "answer",
    "chat",
    "embeddings",
    "failure",
    "incapable",
    "invalid",
    "missing",
    "model",
    "models",
    "parse",
]

CREATED = 1_767_225_600
JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream"
_DONE = b"data: [DONE]\n\n"

# Status: type, code and message as OpenAI words them.
_USUAL_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "permission_denied", "You are not allowed to sample from this model."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", None, "The server is overloaded or not ready yet."),
    529: ("overloaded_error", None, "Overloaded."),
}
_CONTEXT_EXCEEDED = "This model's maximum context length was exceeded. Please reduce the length of the messages."
_NOT_OPTIONS = {"model", "messages", "tools", "stream"}


def parse(path: str, headers: Mapping[str, str], body: JsonObject) -> Request:
    """Read a request of the OpenAI dialect."""
    return Request(
        dialect="openai",
        path=path,
        model=str(body.get("model") or ""),
        messages=body.get("messages") or [],
        tools=body.get("tools") or [],
        schema=_schema(body.get("response_format")),
        stream=bool(body.get("stream")),
        options={name: value for name, value in body.items() if name not in _NOT_OPTIONS},
        headers=headers,
        body=body,
    )


def invalid(request: Request) -> str | None:
    """Why the server itself refuses a chat request."""
    if not request.model:
        return "you must provide a model parameter"
    if not isinstance(cast(object, request.messages), list):
        return "Invalid type for 'messages': expected an array of objects, but got a string instead."
    return None


def incapable(request: Request, card: ModelCard) -> str | None:
    """Nothing: this dialect ignores what a model cannot do."""
    return None


def missing(request: Request) -> Plan:
    """The 404 of a model that is not there."""
    return failure(404, f"The model `{request.model}` does not exist or you do not have access to it.")


def failure(status: int, message: str | None, code: str | None = None, *, request: Request | None = None) -> Plan:
    """An error answer."""
    return Plan(status=status, content=whole(encode(_error(status, message, code))))


def answer(value: object, price: Bill | None = None) -> Plan:
    """A 200 answer that is not streamed."""
    return Plan(content=whole(encode(value), price))


def chat(request: Request, reply: Reply, number: int) -> Plan:
    """Render a reply to `/v1/chat/completions`; the number makes ids unique."""
    if reply.status != 200:
        return failure(reply.status, reply.error, reply.error_code)
    return _stream(request, reply, number) if request.stream else _whole(request, reply, number)


def models(catalog: Catalog) -> Plan:
    """The answer to `/v1/models`."""
    return answer({"object": "list", "data": [_model(card) for card in catalog.pulled()]})


def model(card: ModelCard) -> Plan:
    """The answer to `/v1/models/{model}`."""
    return answer(_model(card))


def embeddings(request: Request, card: ModelCard, catalog: Catalog) -> Plan:
    """The answer to `/v1/embeddings`."""
    given = request.body.get("input")
    if not isinstance(given, str | list):
        return failure(400, "'$.input' is invalid.")
    texts = [given] if isinstance(given, str) else [str(text) for text in cast("list[Any]", given)]
    count = sum(count_tokens(text) for text in texts)
    encoded = request.body.get("encoding_format") == "base64"
    vectors = [catalog.embed(card, text) for text in texts]
    data = [
        {"object": "embedding", "index": place, "embedding": _base64(vector) if encoded else vector}
        for place, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": count, "total_tokens": count}
    body = {"object": "list", "data": data, "model": request.model, "usage": usage}
    return answer(body, Bill(input=count, output=0, cached=0, reasoning=0))


def _stream(request: Request, reply: Reply, number: int) -> Plan:
    price = bill(request, reply)
    options: JsonObject = request.body.get("stream_options") or {}
    reports = bool(options.get("include_usage"))
    head = _head(request, reply, number, "chat.completion.chunk")
    head |= {"usage": None} if reports else {}
    deltas = list(_deltas(request, reply, number))
    if deltas:
        deltas[0][0]["role"] = "assistant"
    content = spread((_event({**head, "choices": [_choice(*delta)]}) for delta in deltas), price)
    closing = _closing(head, reply, price if reports else None)
    return Plan(
        content_type=STREAM_TYPE,
        streamed=True,
        content=content,
        closing=close(content, closing, price),
        failure=Frame(_event(_error(500, reply.error, reply.error_code))),
    )


def _closing(head: JsonObject, reply: Reply, price: Bill | None) -> list[bytes]:
    finish = {**head, "choices": [_choice({}, None, _finish_reason(reply))]}
    if price is None or reply.usage_position == "missing":
        return [_event(finish), _DONE]
    usage = {"usage": _usage(price)}
    if reply.usage_position == "with":
        return [_event({**finish, **usage}), _DONE]
    events = [_event(finish), _event({**head, "choices": [], **usage})]
    return [*(events if reply.usage_position == "after" else reversed(events)), _DONE]


def _whole(request: Request, reply: Reply, number: int) -> Plan:
    if reply.error_after is not None:
        return answer(_error(500, reply.error, reply.error_code))
    price = bill(request, reply)
    message: JsonObject = {"role": "assistant", "content": reply.answer, "refusal": None}
    if reply.thinking:
        message["reasoning_content"] = reply.thinking
    if reply.tool_calls:
        message["content"] = reply.answer or None
        message["tool_calls"] = [_tool_call(number, place, call) for place, call in enumerate(reply.tool_calls)]
    scored = [token for piece in _visible(request, reply) for token in piece.tokens]
    logprobs = _logprobs(request, scored) if _wants_logprobs(request, reply) else None
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": _finish_reason(reply)}
    body = {**_head(request, reply, number, "chat.completion"), "choices": [choice]}
    if reply.usage_position != "missing":
        body["usage"] = _usage(price)
    return answer(body, price)


def _deltas(request: Request, reply: Reply, number: int) -> Iterator[tuple[JsonObject, JsonObject | None]]:
    """Each chunk's delta, and its log probabilities."""
    for text in split(reply.thinking, reply.chunk_size):
        yield {"reasoning_content": text}, None
    for piece in _visible(request, reply):
        yield {"content": piece.text}, _logprobs(request, piece.tokens) if piece.tokens else None
    for place, call in enumerate(reply.tool_calls):
        whole_call = _tool_call(number, place, call)
        whole_call["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": place, **whole_call}]}, None
        for text in split(call.arguments_text, reply.chunk_size):
            yield {"tool_calls": [{"index": place, "function": {"arguments": text}}]}, None


def _visible(request: Request, reply: Reply) -> list[Piece]:
    return text_pieces(reply, logprobs=_wants_logprobs(request, reply))


def _choice(delta: JsonObject, logprobs: JsonObject | None, finish_reason: str | None = None) -> JsonObject:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _head(request: Request, reply: Reply, number: int, kind: str) -> JsonObject:
    identity = {"id": f"chatcmpl-{number}", "object": kind, "created": CREATED}
    return {**identity, "model": reply.model or request.model, "system_fingerprint": "fp_loopback"}


def _tool_call(number: int, place: int, call: Call) -> JsonObject:
    function = {"name": call.name, "arguments": call.arguments_text}
    return {"id": call.id or f"call_{number}_{place}", "type": "function", "function": function}


def _finish_reason(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _usage(price: Bill) -> JsonObject:
    return {
        "prompt_tokens": price.input,
        "completion_tokens": price.output,
        "total_tokens": price.input + price.output,
        "prompt_tokens_details": {"cached_tokens": price.cached},
        "completion_tokens_details": {"reasoning_tokens": price.reasoning},
    }


def _wants_logprobs(request: Request, reply: Reply) -> bool:
    return bool(request.body.get("logprobs")) and reply.logprobs is not None


def _logprobs(request: Request, scored: tuple[Token, ...] | list[Token]) -> JsonObject:
    count = request.body.get("top_logprobs") or 0
    entries = [
        {**_scored(token.text, token.logprob), "top_logprobs": [_scored(*pair) for pair in token.top[:count]]}
        for token in scored
    ]
    return {"content": entries, "refusal": None}


def _scored(text: str, logprob: float) -> JsonObject:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", errors="replace"))}


def _error(status: int, message: str | None, code: str | None) -> JsonObject:
    kind, usual_code, usual = _USUAL_ERRORS.get(status, _USUAL_ERRORS[500 if status >= 500 else 400])
    if code == "context_length_exceeded":
        usual = _CONTEXT_EXCEEDED
    return {"error": {"message": message or usual, "type": kind, "param": None, "code": code or usual_code}}


def _model(card: ModelCard) -> JsonObject:
    return {"id": card.name, "object": "model", "created": CREATED, "owned_by": "library"}


def _schema(value: Any) -> JsonObject | None:
    format_: JsonObject = cast(JsonObject, value) if isinstance(value, dict) else {}
    if format_.get("type") == "json_object":
        return {"type": "object"}
    definition: JsonObject = format_.get("json_schema") or {}
    return definition.get("schema")


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")


def _event(value: object) -> bytes:
    return b"data: " + encode(value) + b"\n\n"
