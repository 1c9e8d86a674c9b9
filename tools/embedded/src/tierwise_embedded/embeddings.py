"""The routes that embed: `/api/embed`, the older `/api/embeddings`, and OpenAI's `/v1/embeddings`."""

import base64
import math
import struct
import time
from dataclasses import dataclass
from typing import Any, cast

from tierwise_embedded.engine import Cancellation, EngineSettings
from tierwise_embedded.errors import ApiError
from tierwise_embedded.gojson import EMBED_FIELDS, check_fields, decode
from tierwise_embedded.library import Library
from tierwise_embedded.options import parse_keep_alive, parse_options
from tierwise_embedded.responses import JSON, Request, Response, json_reply
from tierwise_embedded.scheduler import Scheduler

__all__ = ["EmbeddingRoutes"]

_MISSING = 'model "{}" not found, try pulling it first'
_MAX_INPUT = 4096
"""Tokens of one input: the engine reads it in one piece, and its memory grows with it."""
_TOO_LONG = "the input length exceeds the context length"


@dataclass(frozen=True, slots=True)
class _Embedded:
    vectors: list[list[float]]
    tokens: int
    load_duration: int
    total_duration: int


class EmbeddingRoutes:
    """The routes that embed."""

    def __init__(self, library: Library, scheduler: Scheduler) -> None:
        self._library = library
        self._scheduler = scheduler

    def embed(self, request: Request) -> Response:
        """Answer `POST /api/embed`."""
        body = decode(request.body)
        check_fields(body, "EmbedRequest", EMBED_FIELDS)
        result = self._embed(body, _inputs(body.get("input")), request.cancellation)
        return json_reply(
            {
                "model": body["model"],
                "embeddings": result.vectors,
                "total_duration": result.total_duration,
                "load_duration": result.load_duration,
                "prompt_eval_count": result.tokens,
            }
        )

    def embeddings(self, request: Request) -> Response:
        """Answer `POST /api/embeddings`, the older route of one prompt."""
        body = decode(request.body)
        check_fields(body, "EmbeddingRequest", EMBED_FIELDS)
        result = self._embed(body, _inputs(body.get("prompt")), request.cancellation)
        return json_reply({"embedding": result.vectors[0] if result.vectors else []})

    def openai(self, request: Request) -> Response:
        """Answer `POST /v1/embeddings`."""
        body = decode(request.body)
        check_fields(body, "EmbedRequest", EMBED_FIELDS)
        if not body.get("input"):
            raise ApiError(400, "invalid input")
        result = self._embed(body, _inputs(body["input"]), request.cancellation)
        encode = _base64 if body.get("encoding_format") == "base64" else list[float]
        data = [
            {"object": "embedding", "embedding": encode(vector), "index": index}
            for index, vector in enumerate(result.vectors)
        ]
        usage = {"prompt_tokens": result.tokens, "total_tokens": result.tokens}
        answer = {"object": "list", "data": data, "model": body["model"], "usage": usage}
        return json_reply(answer, content_type=JSON, end="\n")

    def _embed(self, body: dict[str, Any], inputs: list[str], cancellation: Cancellation) -> _Embedded:
        started = time.perf_counter_ns()
        keep_alive = parse_keep_alive(body.get("keep_alive"))
        model = self._library.require(body.get("model"), _MISSING)
        num_ctx = min(parse_options(body.get("options")).num_ctx(model.context_length), _MAX_INPUT)
        settings = EngineSettings(num_ctx=num_ctx, embedding=True)
        with self._scheduler.lease(model, settings, keep_alive, cancellation) as lease:
            loaded = time.perf_counter_ns()
            prompts = [lease.engine.tokenize(text) for text in inputs if text]
            if body.get("truncate") is False and any(len(prompt) > num_ctx for prompt in prompts):
                raise ApiError(400, _TOO_LONG)
            # The engine needs room for one token more than it reads.
            prompts = [prompt[: num_ctx - 1] for prompt in prompts]
            vectors = lease.engine.embed(prompts, cancellation) if prompts else []
        dimensions = body.get("dimensions") or 0
        if dimensions > 0:
            vectors = [_unit(vector[:dimensions]) for vector in vectors]
        tokens = sum(len(prompt) for prompt in prompts)
        return _Embedded(vectors, tokens, loaded - started, time.perf_counter_ns() - started)


def _inputs(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value] if value else []
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in items):
        raise ApiError(400, "invalid input type")
    return items


def _unit(vector: list[float]) -> list[float]:
    norm = math.sqrt(math.fsum(value * value for value in vector))
    return [value / norm for value in vector] if norm else vector


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
