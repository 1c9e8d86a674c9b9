"""Ollama's wire format: newline-delimited JSON, as a 0.33 server speaks it."""

from __future__ import annotations

import hashlib
import json
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
    "CREATED_AT",
    "JSON_TYPE",
    "STREAM_TYPE",
    "answer",
    "chat",
    "embeddings",
    "failure",
    "incapable",
    "invalid",
    "loaded",
    "missing",
    "parse",
    "pull",
    "running",
    "show",
    "tags",
]

CREATED_AT = "2026-01-01T00:00:00.000000Z"
JSON_TYPE = "application/json; charset=utf-8"
STREAM_TYPE = "application/x-ndjson"
_NANOSECONDS_PER_TOKEN = 1_000_000

_USUAL_ERRORS = {
    400: "invalid request",
    401: "unauthorized",
    429: "too many requests",
    500: "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error",
    503: "server busy, please try again.  maximum pending requests exceeded",
}


def parse(path: str, headers: Mapping[str, str], body: JsonObject) -> Request:
    """Read a request of the Ollama dialect."""
    return Request(
        dialect="ollama",
        path=path,
        model=str(body.get("model") or body.get("name") or ""),
        messages=body.get("messages") or [],
        tools=body.get("tools") or [],
        schema=_schema(body.get("format")),
        stream=body.get("stream") is not False and path in {"/api/chat", "/api/pull"},
        options=body.get("options") or {},
        headers=headers,
        body=body,
    )


def invalid(request: Request) -> str | None:
    """Why the server itself refuses a chat request, in its own words."""
    if not request.model:
        return "model is required"
    if not isinstance(cast(object, request.messages), list):
        return "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message"
    top: Any = request.body.get("top_logprobs") or 0
    if not isinstance(top, int) or not 0 <= top <= 20:
        return "top_logprobs must be between 0 and 20"
    return None


def incapable(request: Request, card: ModelCard) -> str | None:
    """Why a model cannot serve a request, in the server's own words."""
    if request.tools and "tools" not in card.capabilities:
        return f"registry.ollama.ai/library/{request.model} does not support tools"
    if request.body.get("think") and "thinking" not in card.capabilities:
        return f'"{request.model}" does not support thinking'
    return None


def missing(request: Request) -> Plan:
    """The 404 of a model that is not there; the wording depends on the route."""
    if request.path == "/api/embed":
        return failure(404, f'model "{request.model}" not found, try pulling it first')
    return failure(404, f"model '{request.model}' not found")


def failure(status: int, message: str | None, code: str | None = None, *, request: Request | None = None) -> Plan:
    """An error answer. Without a message, 403 is empty: it is the answer to a foreign Host header."""
    if message is None and status == 403:
        return Plan(status=status, content_type="text/plain")
    if message is None and code == "context_length_exceeded":
        message = _context_exceeded(request)
    text = message or _USUAL_ERRORS.get(status, "internal server error")
    return Plan(status=status, content_type=JSON_TYPE, content=whole(encode({"error": text})))


def answer(value: object, price: Bill | None = None) -> Plan:
    """A 200 answer that is not streamed."""
    return Plan(content_type=JSON_TYPE, content=whole(encode(value), price), failure=_failure_frame(None))


def chat(request: Request, reply: Reply, number: int) -> Plan:
    """Render a reply to `/api/chat`; the number makes ids unique."""
    if reply.status != 200:
        return failure(reply.status, reply.error, reply.error_code, request=request)
    broken = next((call for call in reply.tool_calls if _arguments(call) is None), None)
    if broken is not None:
        text = f"error parsing tool call: raw='{broken.arguments_text}', err=unexpected end of JSON input"
        return _broken(request, text)
    return _stream(request, reply, number) if request.stream else _whole(request, reply, number)


def loaded(request: Request, *, unload: bool) -> Plan:
    """The answer to a chat without messages, which loads or unloads the model."""
    reason = "unload" if unload else "load"
    line = {**_head(request.model), **_message({"content": ""}), "done": True, "done_reason": reason}
    if request.stream:
        return Plan(content_type=STREAM_TYPE, streamed=True, content=(Frame(_line(line)),))
    return answer(line)


def tags(catalog: Catalog) -> Plan:
    """The answer to `/api/tags`."""
    return answer({"models": [_tag(card) for card in catalog.pulled()]})


def running(catalog: Catalog) -> Plan:
    """The answer to `/api/ps`."""
    models = [
        {**_summary(card), "expires_at": CREATED_AT, "size_vram": 0, "context_length": size}
        for card, size in catalog.loaded()
    ]
    return answer({"models": models})


def show(card: ModelCard) -> Plan:
    """The answer to `/api/show`."""
    return answer(
        {
            "license": "",
            "modelfile": f"FROM {card.name}\n",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "details": _details(card),
            "model_info": {
                "general.architecture": "llama",
                "general.parameter_count": card.parameters,
                "llama.context_length": card.context_length,
                "llama.embedding_length": card.embedding_length,
            },
            "capabilities": list(card.capabilities),
            "modified_at": CREATED_AT,
        }
    )


def embeddings(request: Request, card: ModelCard, catalog: Catalog) -> Plan:
    """The answer to `/api/embed`."""
    given = request.body.get("input")
    if not isinstance(given, str | list):
        return failure(400, "invalid input type")
    texts = [given] if isinstance(given, str) else [str(text) for text in cast("list[Any]", given)]
    count = sum(count_tokens(text) for text in texts)
    body = {
        "model": request.model,
        "embeddings": [catalog.embed(card, text) for text in texts],
        "total_duration": _NANOSECONDS_PER_TOKEN * (count + 1),
        "load_duration": _NANOSECONDS_PER_TOKEN,
        "prompt_eval_count": count,
    }
    return answer(body, Bill(input=count, output=0, cached=0, reasoning=0))


def pull(request: Request, card: ModelCard | None) -> Plan:
    """The answer to `/api/pull`. A failure is a line under HTTP 200 when streamed."""
    error = "pull model manifest: file does not exist" if card is None else card.pull_error
    if not request.stream:
        return answer({"status": "success"}) if error is None else failure(500, error)
    digest = _digest(request.model)
    lines: list[JsonObject] = [{"status": "pulling manifest"}]
    if error is None:
        part = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": 1000}
        lines += [part, {**part, "completed": 500}, {**part, "completed": 1000}]
        lines += [{"status": text} for text in ("verifying sha256 digest", "writing manifest", "success")]
    else:
        lines.append({"error": error})
    frames = tuple(Frame(_line(line)) for line in lines)
    return Plan(content_type=STREAM_TYPE, streamed=True, content=frames, failure=_failure_frame(None))


def _stream(request: Request, reply: Reply, number: int) -> Plan:
    price = bill(request, reply)
    head = _head(reply.model or request.model)
    lines = [
        {**head, **_message(message), "done": False, **extra} for message, extra in _chunks(request, reply, number)
    ]
    content = spread((_line(line) for line in lines), price)
    last = {**head, **_message({"content": ""}), **_end(reply, price)}
    return Plan(
        content_type=STREAM_TYPE,
        streamed=True,
        content=content,
        closing=close(content, [_line(last)], price),
        failure=_failure_frame(reply.error),
    )


def _whole(request: Request, reply: Reply, number: int) -> Plan:
    if reply.error_after is not None:
        return failure(500, reply.error)
    price = bill(request, reply)
    message: JsonObject = {"content": reply.answer}
    if _thinks(request, reply):
        message["thinking"] = reply.thinking
    if reply.tool_calls:
        message["tool_calls"] = [_tool_call(number, place, call) for place, call in enumerate(reply.tool_calls)]
    body: JsonObject = {**_head(reply.model or request.model), **_message(message), **_end(reply, price)}
    if _wants_logprobs(request, reply):
        pieces = text_pieces(reply, logprobs=True)
        body["logprobs"] = [_logprob(request, token) for piece in pieces for token in piece.tokens]
    return answer(body, price)


def _broken(request: Request, text: str) -> Plan:
    if request.stream:
        return Plan(content_type=STREAM_TYPE, streamed=True, content=(_failure_frame(text),))
    return failure(500, text)


def _chunks(request: Request, reply: Reply, number: int) -> Iterator[tuple[JsonObject, JsonObject]]:
    """Each chunk's message, and what stands beside the message."""
    if _thinks(request, reply):
        for text in split(reply.thinking, reply.chunk_size):
            yield {"content": "", "thinking": text}, {}
    for piece in text_pieces(reply, logprobs=_wants_logprobs(request, reply)):
        yield {"content": piece.text}, _beside(request, piece)
    for place, call in enumerate(reply.tool_calls):
        yield {"content": "", "tool_calls": [_tool_call(number, place, call)]}, {}


def _beside(request: Request, piece: Piece) -> JsonObject:
    return {"logprobs": [_logprob(request, token) for token in piece.tokens]} if piece.tokens else {}


def _thinks(request: Request, reply: Reply) -> bool:
    return bool(reply.thinking) and request.body.get("think") is not False


def _wants_logprobs(request: Request, reply: Reply) -> bool:
    return bool(request.body.get("logprobs")) and reply.logprobs is not None


def _end(reply: Reply, price: Bill) -> JsonObject:
    # A real server says "stop" for tool calls too, and knows no content filter.
    end: JsonObject = {"done": True, "done_reason": "length" if reply.finish_reason == "length" else "stop"}
    metrics = {
        "total_duration": _NANOSECONDS_PER_TOKEN * (1 + price.input + price.output),
        "load_duration": _NANOSECONDS_PER_TOKEN,
        "prompt_eval_count": price.input,
        "prompt_eval_duration": _NANOSECONDS_PER_TOKEN * price.input,
        "eval_count": price.output,
        "eval_duration": _NANOSECONDS_PER_TOKEN * price.output,
    }
    reported = reply.usage_position != "missing"
    return {**end, **{name: value for name, value in metrics.items() if value and reported}}


def _tool_call(number: int, place: int, call: Call) -> JsonObject:
    function = {"index": place, "name": call.name, "arguments": _arguments(call)}
    return {"id": call.id or f"call_{number}_{place}", "function": function}


def _arguments(call: Call) -> JsonObject | None:
    """The arguments as the object that this dialect requires, or `None`."""
    if not isinstance(call.arguments, str):
        return dict(call.arguments)
    try:
        value: Any = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return None
    return cast(JsonObject, value) if isinstance(value, dict) else None


def _logprob(request: Request, token: Token) -> JsonObject:
    top = token.top[: request.body.get("top_logprobs") or 0]
    entry = _scored(token.text, token.logprob)
    return {**entry, "top_logprobs": [_scored(*pair) for pair in top]} if top else entry


def _scored(text: str, logprob: float) -> JsonObject:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", errors="replace"))}


def _schema(value: Any) -> JsonObject | None:
    if value == "json":
        return {"type": "object"}
    return cast(JsonObject, value) if isinstance(value, dict) else None


def _context_exceeded(request: Request | None) -> str:
    window = request.options.get("num_ctx") if request else None
    detail = {"code": 400, "message": "request exceeds the available context size, try increasing it"}
    size = {"type": "exceed_context_size_error", "n_prompt_tokens": (window or 4096) + 1, "n_ctx": window or 4096}
    return json.dumps({"error": {**detail, **size}})


def _failure_frame(message: str | None) -> Frame:
    return Frame(_line({"error": message or _USUAL_ERRORS[500]}))


def _head(model: str) -> JsonObject:
    return {"model": model, "created_at": CREATED_AT}


def _message(message: JsonObject) -> JsonObject:
    return {"message": {"role": "assistant", **message}}


def _line(value: object) -> bytes:
    return encode(value) + b"\n"


def _tag(card: ModelCard) -> JsonObject:
    summary = {**_summary(card), "modified_at": CREATED_AT, "capabilities": list(card.capabilities)}
    lengths = {"context_length": card.context_length, "embedding_length": card.embedding_length}
    return {**summary, "details": {**_details(card), **lengths}}


def _summary(card: ModelCard) -> JsonObject:
    identity = {"name": card.name, "model": card.name, "size": 98_362_432, "digest": _digest(card.name)}
    return {**identity, "details": _details(card)}


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", errors="replace")).hexdigest()


def _details(card: ModelCard) -> JsonObject:
    family = {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"]}
    return {**family, "parameter_size": _size(card.parameters), "quantization_level": "Q4_1"}


def _size(parameters: int) -> str:
    """As Ollama writes it: `135.00M`, `4.0B`."""
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.2f}M"
