"""Attempts as requests to Pydantic AI's own models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from functools import lru_cache
from threading import Thread
from typing import Any, NamedTuple, NoReturn, cast

from pydantic_ai import RunContext
from pydantic_ai.exceptions import UnexpectedModelBehavior, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings, merge_model_settings
from pydantic_ai.tools import ToolDefinition
from tierwise import ModelSpec
from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends import NativeBackend, provider_failures, runs_here
from tierwise.schema import as_json_schema

from tierwise_pydantic_ai.convert import end_of, from_core, outcome_of, with_calls
from tierwise_pydantic_ai.history import moved
from tierwise_pydantic_ai.profile import shared_profile

__all__ = ["Event", "PydanticAIBackend", "Request"]


class Request(NamedTuple):
    """What a model was asked, as Pydantic AI put it."""

    messages: list[ModelMessage]
    settings: ModelSettings | None
    parameters: ModelRequestParameters
    context: RunContext[Any] | None = None


class Event(NamedTuple):
    """One event of a streamed response, and the response that it is of."""

    event: ModelResponseStreamEvent
    source: StreamedResponse


class PydanticAIBackend(NativeBackend):
    """Sends attempts to Pydantic AI's models; each prepares request and messages in its own way.

    A client does not retry by itself, as far as its model can tell it so: a router falls back. For a model that is to
    retry, set `max_retries` in its own settings, or in the agent's.

    Args:
        models: A model for each model of the fleet, by the fleet's model's key.
    """

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._settings = {key: merge_model_settings(_unretried(model), model.settings) for key, model in models.items()}

    def call(self, attempt: Attempt) -> Outcome:
        """See `Backend`. Pydantic AI is async: this is for routers that are run without it."""
        return asyncio.run_coroutine_threadsafe(self.acall(attempt), _background_loop()).result()

    async def acall(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        model, request = self._prepared(attempt)
        with provider_failures(UnexpectedModelBehavior):
            response = await model.request(request.messages, request.settings, request.parameters)
        if response.state == "suspended":
            await _refuse_suspended(model, response)
        return outcome_of(attempt, response)

    def rebuilt(self, outcome: Outcome) -> Any:
        """See `Backend`."""
        return with_calls(outcome.raw, outcome)

    def target(self, model: ModelSpec) -> object:
        """See `NativeBackend`."""
        return self._models[model.key]

    def is_local(self, model: ModelSpec) -> bool:
        """See `NativeBackend`."""
        target = self._models[model.key]
        is_ollama = any(kind.__name__ == "OllamaModel" for kind in type(target).__mro__)
        return is_ollama and runs_here(target.base_url or "", target.model_name)

    def server(self, model: ModelSpec) -> str | None:
        """See `Backend`."""
        return self._models[model.key].base_url

    def aopen(self, attempt: Attempt) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """See `Backend`."""
        return aclosing(self._chunks(attempt))

    async def _chunks(self, attempt: Attempt) -> AsyncGenerator[Chunk]:
        """The events as they come, and then what the whole answer says.

        The end of a stream that was cancelled, by another task than its reader's, is no failure and no whole answer.
        """
        model, request = self._prepared(attempt)
        with provider_failures(UnexpectedModelBehavior):
            opened = model.request_stream(request.messages, request.settings, request.parameters, request.context)
            async with opened as stream:
                try:
                    async for event in stream:
                        yield _chunk(event, stream)
                except Exception as error:
                    if stream.cancelled:
                        raise asyncio.CancelledError from error
                    raise
                if stream.cancelled:
                    raise asyncio.CancelledError
                response = stream.get()
                if response.state == "suspended":
                    await _refuse_suspended(model, response)
                yield end_of(response)

    def _prepared(self, attempt: Attempt) -> tuple[Model, Request]:
        model = self._models[attempt.model.key]
        native = attempt.task.native
        request = native if isinstance(native, Request) else _request(attempt, model)
        messages = model.prepare_messages(moved(request.messages, model), request.parameters)
        settings = merge_model_settings(self._settings[attempt.model.key], _of_rung(attempt.model))
        settings = _of_attempt(attempt, merge_model_settings(settings, request.settings))
        if model.system == "ollama":
            settings = _for_ollama(settings)
        return model, Request(messages, settings, request.parameters, request.context)


@lru_cache(maxsize=1)
def _background_loop() -> asyncio.AbstractEventLoop:
    """The event loop for calls without one. It is kept, as a model's HTTP client serves one loop at a time."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="tierwise-pydantic-ai", daemon=True).start()
    return loop


async def _refuse_suspended(model: Model, response: ModelResponse) -> NoReturn:
    """A half of an answer can be neither judged nor, on another model, gone on with."""
    await model.cancel_suspended_response(response)
    raise UserError(
        f"{model.model_id} answered with a suspended response, to be continued later (state='suspended'): it cannot be "
        "routed. Turn the background mode of this model off, or give this agent the model itself"
    )


def _request(attempt: Attempt, model: Model) -> Request:
    """The request of a task that is no framework's, e.g. a judge's."""
    task = attempt.task
    tools = [
        ToolDefinition(name=t.name, parameters_json_schema=dict(t.parameters), description=t.description)
        for t in task.tools
    ]
    parameters = ModelRequestParameters(function_tools=tools)
    if task.output_schema is not None:
        output = OutputObjectDefinition(json_schema=as_json_schema(task.output_schema), name="answer")
        native = shared_profile([model]).get("supports_json_schema_output", False)
        parameters = ModelRequestParameters(
            function_tools=tools, output_mode="native" if native else "prompted", output_object=output
        )
    return Request(from_core(task.messages), None, parameters)


def _unretried(model: Model) -> ModelSettings | None:
    while isinstance(model, WrapperModel):
        model = model.wrapped
    knows = model.provider is not None and "max_retries" not in model.unsupported_settings
    return ModelSettings(max_retries=0) if knows else None


def _of_attempt(attempt: Attempt, asked: ModelSettings | None) -> ModelSettings | None:
    """What was asked for, under what this attempt asks for itself (a sample, a judge); the smaller cap holds."""
    own: dict[str, Any] = {}
    if attempt.temperature is not None:
        own["temperature"] = attempt.temperature
    if attempt.seed is not None:
        own["seed"] = attempt.seed
    if attempt.logprobs:
        own["openai_logprobs"] = True
    cap = attempt.setting("max_output_tokens")
    if cap is not None:
        own["max_tokens"] = min(cap, (asked or {}).get("max_tokens", cap))
    return merge_model_settings(asked, cast("ModelSettings", own))


def _for_ollama(settings: ModelSettings | None) -> ModelSettings | None:
    """Pydantic AI bounds the answer by `max_completion_tokens`, which Ollama overlooks: it reads `max_tokens`."""
    cap = (settings or {}).get("max_tokens")
    if cap is None:
        return settings
    own = cast("Mapping[str, Any]", (settings or {}).get("extra_body") or {})
    return merge_model_settings(settings, {"extra_body": {"max_tokens": cap, **own}})


def _of_rung(model: ModelSpec) -> ModelSettings | None:
    """The settings of the rung, which stand over those of the model that it is, and under the agent's."""
    named = {
        "temperature": model.temperature,
        "top_p": model.top_p,
        "seed": model.seed,
        "thinking": False if model.reasoning_effort == "none" else model.reasoning_effort,
    }
    given = {name: value for name, value in named.items() if value is not None}
    return cast("ModelSettings", {**model.options, **given}) or None


def _chunk(event: ModelResponseStreamEvent, stream: StreamedResponse) -> Chunk:
    text, calls = "", False
    if isinstance(event, PartStartEvent):
        text = event.part.content if isinstance(event.part, TextPart) else ""
        calls = isinstance(event.part, ToolCallPart)
    elif isinstance(event, PartDeltaEvent):
        text = event.delta.content_delta if isinstance(event.delta, TextPartDelta) else ""
        calls = isinstance(event.delta, ToolCallPartDelta)
    return Chunk(text=text, visible=bool(text or calls), raw=Event(event, stream))
