"""Attempts as calls of CrewAI's own LLMs."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from crewai import BaseLLM
from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import LLMCallBlockedError
from crewai.utilities.exceptions.context_window_exceeding_exception import LLMContextLengthExceededError
from crewai.utilities.pydantic_schema_utils import create_model_from_schema  # pyright: ignore[reportUnknownVariableType]
from pydantic import BaseModel
from tierwise import ModelSpec
from tierwise.backends import NativeBackend, provider_failures, runs_here
from tierwise.errors import ContextOverflowError, StreamBrokenError
from tierwise.flow import Attempt, Outcome, Show
from tierwise.schema import as_json_schema

from tierwise_crewai.convert import from_core, outcome_of, written_calls

__all__ = ["CrewAIBackend", "Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """What an LLM was asked, as CrewAI put it."""

    messages: Any
    tools: list[Any] | None
    callbacks: list[Any] | None
    response_model: type[BaseModel] | None
    stop: list[str]
    stream: bool
    from_task: Any = None
    from_agent: Any = None


@dataclass(frozen=True, slots=True)
class _Call:
    """A copy of the LLM for one call: counters, settings and streaming of its own."""

    llm: BaseLLM
    arguments: dict[str, Any]
    shown: list[str]


class CrewAIBackend(NativeBackend):
    """Calls CrewAI's LLMs. They stream by events, so that only an attempt that may be shown is streamed at all.

    No target is given the functions of tools: it would run them for a draft.

    Args:
        models: An LLM for each model of the fleet, by the model's key.
    """

    def __init__(self, models: Mapping[str, BaseLLM]) -> None:
        self._models = models

    def call(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        call = self._prepared(attempt)
        with _failures(attempt, call.shown):
            answer = call.llm.call(**call.arguments)
        return outcome_of(attempt, answer, call.llm._token_usage)

    async def acall(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        call = self._prepared(attempt)
        with _failures(attempt, call.shown):
            answer = await call.llm.acall(**call.arguments)
        return outcome_of(attempt, answer, call.llm._token_usage)

    def rebuilt(self, outcome: Outcome) -> Any:
        """See `Backend`."""
        return written_calls(outcome.tool_calls)

    def is_local(self, model: ModelSpec) -> bool:
        """See `NativeBackend`."""
        target = self._models[model.key]
        return target.provider in ("ollama", "ollama_chat") and runs_here(target.base_url or "", target.model)

    def _prepared(self, attempt: Attempt) -> _Call:
        native = attempt.task.native
        request = native if isinstance(native, Request) else _request(attempt)
        live = attempt.show == Show.LIVE and request.stream
        update: dict[str, Any] = {"stream": live, "stop": request.stop}
        settings = {
            "temperature": attempt.setting("temperature"),
            "seed": attempt.setting("seed"),
            "max_tokens": attempt.setting("max_output_tokens"),
        }
        update |= {name: value for name, value in settings.items() if value is not None}
        llm = self._models[attempt.model.key].model_copy(update=update)
        llm._token_usage = dict.fromkeys(llm._token_usage, 0)
        arguments: dict[str, Any] = {
            "messages": request.messages,
            "tools": request.tools,
            "callbacks": request.callbacks,
            "from_task": request.from_task,
            "from_agent": request.from_agent,
            "response_model": request.response_model,
        }
        return _Call(llm, arguments, _watched(llm))


def _request(attempt: Attempt) -> Request:
    """The request of a task that is no framework's, e.g. a judge's."""
    task = attempt.task
    tools = [tool.as_dict() for tool in task.tools] or None
    return Request(from_core(task.messages), tools, None, _model(task.output_schema), [], stream=False)


def _model(schema: Any) -> type[BaseModel] | None:
    """CrewAI's LLMs take pydantic models, and no other schema."""
    if schema is None or (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return schema
    return create_model_from_schema(as_json_schema(schema), model_name="Answer")


def _watched(llm: BaseLLM) -> list[str]:
    """What the LLM shows, as it shows it: after that no other model may be asked."""
    shown: list[str] = []
    emit = llm._emit_stream_chunk_event

    def watched(chunk: str, *args: Any, **kwargs: Any) -> None:
        shown.append(chunk)
        emit(chunk, *args, **kwargs)

    # On this copy alone; pydantic would take the name for a private attribute.
    object.__setattr__(llm, "_emit_stream_chunk_event", watched)
    return shown


@contextmanager
def _failures(attempt: Attempt, shown: list[str]) -> Generator[None]:
    try:
        with provider_failures(ValueError):
            yield
    except Exception as error:
        blocked = error.__cause__ if isinstance(error.__cause__, LLMCallBlockedError | HookAborted) else None
        if blocked is not None or isinstance(error, LLMCallBlockedError | HookAborted):
            raise cast("Exception", blocked or error) from None
        if isinstance(error.__cause__ or error, LLMContextLengthExceededError):
            raise ContextOverflowError(str(error)) from error
        if shown:
            raise StreamBrokenError(attempt.model.id, "".join(shown), error) from error
        raise
