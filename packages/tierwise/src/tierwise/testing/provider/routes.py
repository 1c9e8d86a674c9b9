"""Which answer belongs to which request, before it is put on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, cast

from tierwise.testing.provider import ollama_dialect as ollama
from tierwise.testing.provider import openai_dialect as openai
from tierwise.testing.provider.catalog import ANY, Catalog, ModelCard
from tierwise.testing.provider.plan import Plan, whole
from tierwise.testing.provider.script import JsonObject, Reply, Request, Script

__all__ = ["Answer", "MODEL_PATHS", "Routes"]

Answer: TypeAlias = tuple[Plan, Reply]

MODEL_PATHS = {"/api/chat", "/api/embed", "/v1/chat/completions", "/v1/embeddings"}
_METHODS = {
    "/": "GET",
    "/api/version": "GET",
    "/api/tags": "GET",
    "/api/ps": "GET",
    "/api/show": "POST",
    "/api/pull": "POST",
    "/v1/models": "GET",
    **dict.fromkeys(MODEL_PATHS, "POST"),
}


class Routes:
    """Finds the answer to a request from the scripts and the catalog."""

    def __init__(self, catalog: Catalog, version: str) -> None:
        self.catalog = catalog
        self.models: dict[str, Script] = {}
        self.paths: dict[str, Script] = {}
        self._version = version
        self._plans: dict[str, Callable[[Request, ModelCard], Plan]] = {
            "/api/show": lambda _, card: ollama.show(card),
            "/api/embed": lambda request, card: ollama.embeddings(request, card, catalog),
            "/v1/embeddings": lambda request, card: openai.embeddings(request, card, catalog),
            "/v1/models/": lambda _, card: openai.model(card),
        }

    def parse(self, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[Request, str | None]:
        """Read a request; the second value says why its body is bad, if it is."""
        dialect = openai if path.startswith("/v1/") else ollama
        body, problem = _read(raw)
        request = dialect.parse(path, headers, body)
        if path.startswith("/v1/models/"):
            request = replace(request, model=path.removeprefix("/v1/models/"))
        return request, problem

    def is_probe(self, request: Request) -> bool:
        """Whether a request asks about the server rather than a model for an answer."""
        return request.path not in MODEL_PATHS or (request.path == "/api/chat" and not request.messages)

    def answer(self, method: str, request: Request, problem: str | None, number: int) -> Answer:
        """Find the plan for a request and the reply whose faults it suffers."""
        allowed = _METHODS.get("/v1/models" if request.path.startswith("/v1/models/") else request.path)
        if allowed is None:
            return _text(404, "404 page not found"), Reply()
        if method != allowed and not (method == "HEAD" and allowed == "GET"):
            return _text(405, "405 method not allowed", {"Allow": allowed}), Reply()
        if allowed == "POST" and problem is not None:
            return _dialect(request).failure(400, problem), Reply()
        scripted = self.paths.get(request.path)
        reply = scripted.next(request) if scripted else None
        plan, reply = self._answer(request, reply, number)
        return replace(plan, headers={**plan.headers, **reply.all_headers}), reply

    def failure(self, request: Request, reply: Reply) -> Plan:
        """The error answer that a reply asks for."""
        return _dialect(request).failure(reply.status, reply.error, reply.error_code)

    def _answer(self, request: Request, reply: Reply | None, number: int) -> Answer:
        if request.path in {"/api/chat", "/v1/chat/completions"}:
            return self._chat(request, reply, number)
        if reply is not None and reply.status != 200:
            return self.failure(request, reply), reply
        return self._inquiry(request), reply or Reply()

    def _chat(self, request: Request, reply: Reply | None, number: int) -> Answer:
        dialect, card = _dialect(request), self.catalog.find(request.model)
        if problem := dialect.invalid(request):
            return dialect.failure(400, problem), Reply()
        if reply is None:
            script = card and (self.models.get(card.name) or self.models.get(ANY))
            if card is None or script is None:
                return dialect.missing(request), Reply()
            if problem := dialect.incapable(request, card):
                return dialect.failure(400, problem), Reply()
            if self.is_probe(request):
                return self._load(request, card), Reply()
            reply = script.next(request)
        if card is not None and request.dialect == "ollama" and reply.status == 200:
            self.catalog.load(card, request.options.get("num_ctx") or card.context_length)
        return dialect.chat(request, reply, number), reply

    def _load(self, request: Request, card: ModelCard) -> Plan:
        unload = request.body.get("keep_alive") == 0
        if unload:
            self.catalog.unload(card)
        else:
            self.catalog.load(card, request.options.get("num_ctx") or card.context_length)
        return ollama.loaded(request, unload=unload)

    def _inquiry(self, request: Request) -> Plan:
        fixed: dict[str, Callable[[], Plan]] = {
            "/": lambda: _text(200, "Ollama is running"),
            "/api/version": lambda: ollama.answer({"version": self._version}),
            "/api/tags": lambda: ollama.tags(self.catalog),
            "/api/ps": lambda: ollama.running(self.catalog),
            "/api/pull": lambda: self._pull(request),
            "/v1/models": lambda: openai.models(self.catalog),
        }
        if request.path in fixed:
            return fixed[request.path]()
        card = self.catalog.find(request.model)
        path = "/v1/models/" if request.path.startswith("/v1/models/") else request.path
        return self._plans[path](request, card) if card else _dialect(request).missing(request)

    def _pull(self, request: Request) -> Plan:
        card = self.catalog.known(request.model)
        if card is not None and card.pull_error is None:
            self.catalog.pull(card)
        return ollama.pull(request, card)


class _Dialect(Protocol):
    """What both dialect modules can do."""

    def parse(self, path: str, headers: Mapping[str, str], body: JsonObject) -> Request: ...
    def invalid(self, request: Request) -> str | None: ...
    def incapable(self, request: Request, card: ModelCard) -> str | None: ...
    def missing(self, request: Request) -> Plan: ...
    def chat(self, request: Request, reply: Reply, number: int) -> Plan: ...
    def failure(
        self, status: int, message: str | None, code: str | None = None, *, request: Request | None = None
    ) -> Plan: ...


def _dialect(request: Request) -> _Dialect:
    return ollama if request.dialect == "ollama" else openai


def _read(raw: bytes) -> tuple[JsonObject, str | None]:
    if not raw:
        return {}, "missing request body"
    try:
        value: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return {}, f"invalid request body: {error}"
    if not isinstance(value, dict):
        return {}, f"json: cannot unmarshal {type(value).__name__} into an object"
    return cast(JsonObject, value), None


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Plan:
    return Plan(status=status, content_type="text/plain", content=whole(text.encode()), headers=headers or {})
