"""Attempts as calls of LangChain's own chat models."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, closing
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableBinding
from tierwise import ModelSpec
from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends import NativeBackend, portable, provider_failures, runs_here
from tierwise.schema import as_json_schema

from tierwise_langgraph.convert import said_of, with_calls
from tierwise_langgraph.dialects import fitted, is_ollama, reads_cache_markers
from tierwise_langgraph.history import from_core, native_history, text_of, without_markers
from tierwise_langgraph.pieces import Pieces
from tierwise_langgraph.structured import Structured

__all__ = ["LangChainBackend", "Request"]

_SETTINGS: Mapping[str, Sequence[str]] = {
    "temperature": ("temperature",),
    "seed": ("seed",),
    "max_output_tokens": ("max_tokens", "num_predict", "max_output_tokens"),
    "top_p": ("top_p",),
    "reasoning_effort": ("reasoning_effort", "reasoning"),
    "num_ctx": ("num_ctx",),
}
"""A setting of ours, and the fields by which chat models know it."""

_BASE_URLS = ("base_url", "openai_api_base", "anthropic_api_url", "api_base")
"""The fields in which chat models keep their server's URL."""

_FOR_TRACES = ("ls_structured_output_format", "structured_output_format")
"""Keywords that LangChain takes off before it calls a model; what is called here is behind that point."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a chat model was asked beside the messages, as LangChain put it."""

    stop: list[str] | None = None
    tools: Sequence[Any] = ()
    """As they were bound, before any target's own conversion."""
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    structured: Structured | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    model: BaseChatModel
    messages: list[BaseMessage]
    options: dict[str, Any]


class LangChainBackend(NativeBackend):
    """Calls LangChain's chat models below their callbacks, so that drafts and judges are seen by no tracer or stream.

    Args:
        models: A chat model for each model of the fleet, by the model's key.
    """

    def __init__(self, models: Mapping[str, BaseChatModel]) -> None:
        self._models = models

    def call(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        call = self._prepared(attempt)
        with provider_failures(ValueError):
            result = call.model._generate(call.messages, **call.options)
        return _outcome(attempt, _answer(result))

    async def acall(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        call = self._prepared(attempt)
        with provider_failures(ValueError):
            result = await call.model._agenerate(call.messages, **call.options)
        return _outcome(attempt, _answer(result))

    def rebuilt(self, outcome: Outcome) -> Any:
        """See `Backend`."""
        return with_calls(outcome.raw, outcome)

    def target(self, model: ModelSpec) -> object:
        """See `NativeBackend`."""
        return self._models[model.key]

    def is_local(self, model: ModelSpec) -> bool:
        """See `NativeBackend`."""
        target: Any = self._models[model.key]
        if not is_ollama(target):
            return False
        return runs_here(target.base_url or os.environ.get("OLLAMA_HOST") or "localhost", target.model)

    def server(self, model: ModelSpec) -> str | None:
        """See `Backend`. Known where the chat model was given a base URL."""
        target = self._models[model.key]
        return next((url for name in _BASE_URLS if isinstance(url := getattr(target, name, None), str)), None)

    def open(self, attempt: Attempt) -> AbstractContextManager[Iterator[Chunk]]:
        """See `Backend`."""
        call = self._prepared(attempt)
        if type(call.model)._stream is BaseChatModel._stream:
            return super().open(attempt)
        return closing(self._chunks(attempt, call))

    def aopen(self, attempt: Attempt) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """See `Backend`."""
        call = self._prepared(attempt)
        kind = type(call.model)
        if kind._astream is BaseChatModel._astream and kind._stream is BaseChatModel._stream:
            return super().aopen(attempt)
        return aclosing(self._achunks(attempt, call))

    def _chunks(self, attempt: Attempt, call: _Call) -> Generator[Chunk]:
        pieces = Pieces()
        with provider_failures(ValueError):
            stream = call.model._stream(call.messages, **call.options)
            with closing(cast("Generator[ChatGenerationChunk]", stream)):
                for piece in stream:
                    yield pieces.read(piece)
                yield _end(attempt, pieces.merged())

    async def _achunks(self, attempt: Attempt, call: _Call) -> AsyncGenerator[Chunk]:
        pieces = Pieces()
        with provider_failures(ValueError):
            stream = call.model._astream(call.messages, **call.options)
            async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", stream)):
                async for piece in stream:
                    yield pieces.read(piece)
                yield _end(attempt, pieces.merged())

    def _prepared(self, attempt: Attempt) -> _Call:
        model = _tuned(self._models[attempt.model.key], attempt)
        native = attempt.task.native
        made = _native(attempt, native, model) if isinstance(native, Request) else _plain(attempt, model)
        if attempt.logprobs and "logprobs" in type(model).model_fields:
            made.options["logprobs"] = True
        for name in _FOR_TRACES:
            made.options.pop(name, None)
        return made


def _native(attempt: Attempt, request: Request, model: BaseChatModel) -> _Call:
    """A request of LangChain's own: its history made readable for the target, its tools bound in the target's way."""
    cached = reads_cache_markers(model)
    messages = native_history(attempt.task.messages, provider=attempt.model.provider, cache=cached)
    model, options = fitted(model, request.options)
    tools = request.tools
    if not cached:
        tools = [without_markers(cast("dict[str, Any]", t)) if isinstance(t, dict) else t for t in tools]
    if request.structured is not None:
        model, typed = _unbound(request.structured.bound(model))
        options = typed | options
    elif tools or "response_format" in options:
        model, options = _unbound(model.bind_tools(tools, **options))
    return _Call(model, messages, {"stop": request.stop, **options})


def _plain(attempt: Attempt, model: BaseChatModel) -> _Call:
    """A request that is no framework's, e.g. a judge's."""
    task = attempt.task
    options: dict[str, Any] = {}
    if task.tools:
        model, options = _unbound(model.bind_tools([tool.as_dict() for tool in task.tools]))
    elif task.output_schema is not None:
        schema = {"title": "answer", **as_json_schema(task.output_schema)}
        typed: Any = model.with_structured_output(schema, method="json_schema")
        model, options = _unbound(typed.first)
    return _Call(model, from_core(portable(task.messages, provider=attempt.model.provider)), options)


def _tuned(model: BaseChatModel, attempt: Attempt) -> BaseChatModel:
    """The model with the settings of the attempt, where the attempt has any."""
    changed: dict[str, Any] = {}
    for name, value in _settings(attempt):
        known = next((f for f in _SETTINGS[name] if f in type(model).model_fields), None)
        changed |= {} if known is None else {known: value}
    return model.model_copy(update=changed) if changed else model


def _settings(attempt: Attempt) -> Iterator[tuple[str, Any]]:
    for name in ("temperature", "seed", "max_output_tokens"):
        value = attempt.setting(name)
        if value is not None:
            yield name, value
    for name in ("top_p", "reasoning_effort", "num_ctx"):
        value = getattr(attempt.model, name)
        if value is not None:
            yield name, value


def _unbound(bound: Any) -> tuple[BaseChatModel, dict[str, Any]]:
    binding = cast("RunnableBinding[Any, Any]", bound)
    return cast("BaseChatModel", binding.bound), dict(binding.kwargs)


def _outcome(attempt: Attempt, message: AIMessage) -> Outcome:
    return Outcome(attempt, raw=message, **_said(attempt, message))


def _said(attempt: Attempt, message: AIMessage) -> dict[str, Any]:
    """What the message says, by the names of an outcome's fields."""
    said = said_of(message)
    native = attempt.task.native
    structured = native.structured if isinstance(native, Request) else None
    return said if structured is None else {**said, **structured.typed(said["tool_calls"])}


def _answer(result: ChatResult) -> AIMessage:
    generation = result.generations[0]
    message = cast("AIMessage", generation.message)
    metadata = {
        **(result.llm_output or {}),
        **(generation.generation_info or {}),
        **message.response_metadata,
    }
    # A copy: a model may give the same message to several callers.
    return message.model_copy(update={"response_metadata": metadata})


def _end(attempt: Attempt, message: AIMessageChunk | None) -> Chunk:
    """What is known only of the whole: complete tool calls, usage, the model's name."""
    if message is None:
        return Chunk()
    said = _said(attempt, message)
    # What was shown has come before.
    shown: dict[str, Any] = {
        "text": "" if text_of(message) else said["text"],
        "thinking": "",
        "logprobs": said["logprobs"] or (),
    }
    return Chunk(visible=False, whole=message, **{**said, **shown})
