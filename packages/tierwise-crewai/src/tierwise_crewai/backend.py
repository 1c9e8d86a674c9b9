"""Attempts as calls of CrewAI's own LLMs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, closing
from contextvars import copy_context
from typing import Any, Literal, NamedTuple, TypeVar

from crewai import BaseLLM
from crewai.hooks.dispatch import HookAborted
from crewai.llms.base_llm import LLMCallBlockedError
from crewai.llms.retry import arun_with_rate_limit_retry, run_with_rate_limit_retry
from crewai.utilities.exceptions.context_window_exceeding_exception import LLMContextLengthExceededError
from crewai.utilities.pydantic_schema_utils import create_model_from_schema  # pyright: ignore[reportUnknownVariableType]
from openai import LengthFinishReasonError  # of CrewAI's own client
from pydantic import BaseModel
from tierwise import Message, ModelSpec
from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends import NativeBackend, failure_of, portable, ported, runs_here
from tierwise.errors import BackendError, BadResponseError, ContextOverflowError
from tierwise.schema import as_json_schema

from tierwise_crewai.convert import cut_off, from_core, outcome_of, written_calls
from tierwise_crewai.quiet import Quiet, Shown
from tierwise_crewai.relay import Put, apulled, pulled

__all__ = ["CrewAIBackend", "Request"]

T = TypeVar("T")

_CAPS = ("max_completion_tokens", "max_output_tokens", "max_tokens")
"""The names by which LLMs know the longest answer."""

_SHARED: Sequence[Literal["temperature", "seed"]] = ("temperature", "seed")
"""Settings that a call can have of its own, by the names that LLMs share with us."""


_NO_SETTINGS: Mapping[str, Any] = {}


class Request(NamedTuple):
    """What an LLM was asked, as CrewAI put it."""

    messages: Sequence[tuple[dict[str, Any], tuple[Message, ...]]]
    """Each with what it stands for."""
    tools: list[Any] | None = None
    response_model: type[BaseModel] | None = None
    settings: Mapping[str, Any] = _NO_SETTINGS
    """Of the routed LLM: they hold for each model that answers for it."""
    stop: Sequence[str] = ()
    from_task: Any = None
    from_agent: Any = None


class CrewAIBackend(NativeBackend):
    """Calls CrewAI's LLMs, each time on a copy that tells nobody: what is shown of an answer is the router's to say.

    No target is given the functions of tools: it would run them for a draft. None is tried twice on a full provider, as
    CrewAI does by itself: the router falls back instead.

    Args:
        models: An LLM for each model of the fleet, by the model's key.
    """

    def __init__(self, models: Mapping[str, BaseLLM]) -> None:
        self._models = models

    def call(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        return self._called(attempt, None)

    async def acall(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        if not self._is_async(attempt):
            return await super().acall(attempt)
        return await self._acalled(attempt, None)

    def open(self, attempt: Attempt) -> AbstractContextManager[Iterator[Chunk]]:
        """See `Backend`. LLMs that go through LiteLLM, and typed answers, come in one piece."""
        return closing(self._streamed(attempt)) if self._streams(attempt) else super().open(attempt)

    def aopen(self, attempt: Attempt) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """See `Backend`."""
        live = self._streams(attempt) and self._is_async(attempt)
        return aclosing(self._astreamed(attempt)) if live else super().aopen(attempt)

    def rebuilt(self, outcome: Outcome) -> Any:
        """See `Backend`."""
        return written_calls(outcome.tool_calls)

    def target(self, model: ModelSpec) -> object:
        """See `NativeBackend`."""
        return self._models[model.key]

    def is_local(self, model: ModelSpec) -> bool:
        """See `NativeBackend`."""
        target = self._models[model.key]
        return target.provider in ("ollama", "ollama_chat") and runs_here(target.base_url or "", target.model)

    def server(self, model: ModelSpec) -> str | None:
        """See `Backend`. Known where the LLM was given a base URL."""
        return self._models[model.key].base_url

    def _streams(self, attempt: Attempt) -> bool:
        # LiteLLM's events cannot be kept from those who listen, and OpenAI's streams of typed answers lose the schema.
        return not self._models[attempt.model.key].is_litellm and attempt.task.output_schema is None

    def _is_async(self, attempt: Attempt) -> bool:
        return type(self._models[attempt.model.key]).acall is not BaseLLM.acall

    def _called(self, attempt: Attempt, put: Put[Shown] | None) -> Outcome:
        quiet = self._quiet(attempt, put)
        with _FAILURES:
            try:
                answer = _once(lambda: _call(quiet.llm, _arguments(attempt)))
            except LengthFinishReasonError as error:
                return cut_off(attempt, error.completion)
        return _outcome(attempt, answer, quiet)

    async def _acalled(self, attempt: Attempt, put: Put[Shown] | None) -> Outcome:
        quiet = self._quiet(attempt, put)
        with _FAILURES:
            try:
                answer = await _aonce(lambda: _acall(quiet.llm, _arguments(attempt)))
            except LengthFinishReasonError as error:
                return cut_off(attempt, error.completion)
        return _outcome(attempt, answer, quiet)

    def _streamed(self, attempt: Attempt) -> Generator[Chunk]:
        def work(put: Put[Chunk]) -> Chunk:
            tally = _Tally(put)
            return tally.end(self._called(attempt, tally))

        return pulled(work)

    def _astreamed(self, attempt: Attempt) -> AsyncGenerator[Chunk]:
        async def work(put: Put[Chunk]) -> Chunk:
            tally = _Tally(put)
            return tally.end(await self._acalled(attempt, tally))

        return apulled(work)

    def _quiet(self, attempt: Attempt, put: Put[Shown] | None) -> Quiet:
        target = self._models[attempt.model.key]
        native = attempt.task.native
        request = native if isinstance(native, Request) else Request([])
        update: dict[str, Any] = {**request.settings, "stream": put is not None, "stop": list(request.stop)}
        update |= _settings(attempt, target)
        return Quiet(target, update, put)


def _outcome(attempt: Attempt, answer: Any, quiet: Quiet) -> Outcome:
    return outcome_of(attempt, answer, quiet.counted, quiet.heard.finish_reason, quiet.heard.response_id)


def _settings(attempt: Attempt, target: BaseLLM) -> dict[str, Any]:
    """The settings of a rung, as far as its LLM knows them."""
    model = attempt.model
    settings: dict[str, Any] = {name: value for name in _SHARED if (value := attempt.setting(name)) is not None}
    if model.top_p is not None:
        settings["top_p"] = model.top_p
    if model.reasoning_effort is not None and hasattr(target, "reasoning_effort"):
        settings["reasoning_effort"] = model.reasoning_effort
    if model.options:
        settings["additional_params"] = {**target.additional_params, **model.options}
    cap = attempt.setting("max_output_tokens")
    if cap is not None:
        settings[next((name for name in _CAPS if getattr(target, name, None) is not None), "max_tokens")] = cap
    return settings


class _Tally:
    """Turns what an LLM shows into chunks, and knows whether it showed anything."""

    def __init__(self, put: Put[Chunk]) -> None:
        self._put = put
        self._shown = False

    def __call__(self, shown: Shown) -> None:
        self._shown = self._shown or shown.call or bool(shown.text)
        self._put(Chunk(text=shown.text, thinking=shown.thinking, visible=shown.call or None, raw=shown))

    def end(self, outcome: Outcome) -> Chunk:
        """What is known only of the whole; the text too, if the LLM does not stream after all."""
        return Chunk(
            text="" if self._shown else outcome.text,
            tool_calls=outcome.tool_calls,
            usage=outcome.usage,
            finish_reason=outcome.finish_reason,
            response_id=outcome.response_id,
            visible=False if self._shown else None,
            whole=outcome.raw,
        )


def _arguments(attempt: Attempt) -> dict[str, Any]:
    task = attempt.task
    if not isinstance(task.native, Request):
        # A task that is no framework's, e.g. a judge's.
        tools = [tool.as_dict() for tool in task.tools] or None
        messages = from_core(portable(task.messages, provider=attempt.model.provider))
        return {"messages": messages, "tools": tools, "response_model": _model(task.output_schema)}
    request = task.native
    return {
        "messages": ported(request.messages, provider=attempt.model.provider, write=from_core),
        "tools": request.tools,
        "from_task": request.from_task,
        "from_agent": request.from_agent,
        "response_model": request.response_model,
    }


def _model(schema: Any) -> type[BaseModel] | None:
    """CrewAI's LLMs take pydantic models, and no other schema."""
    if schema is None or (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return schema
    return create_model_from_schema(as_json_schema(schema), model_name="Answer")


def _call(llm: BaseLLM, arguments: dict[str, Any]) -> Any:
    # LiteLLM's failures are told as the end of a call whose begin was not: in a context of their own, that ends none.
    return copy_context().run(llm.call, **arguments) if llm.is_litellm else llm.call(**arguments)


async def _acall(llm: BaseLLM, arguments: dict[str, Any]) -> Any:
    return await (asyncio.create_task(llm.acall(**arguments)) if llm.is_litellm else llm.acall(**arguments))


def _once(call: Callable[[], T]) -> T:
    """The call without CrewAI's own tries on a full provider: its loop is entered, and sees no failure."""

    def tried() -> T | Exception:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - raised again outside of the loop
            return error

    return _unless_failed(run_with_rate_limit_retry(tried))


async def _aonce(call: Callable[[], Any]) -> Any:
    async def tried() -> Any:
        try:
            return await call()
        except Exception as error:  # noqa: BLE001 - raised again outside of the loop
            return error

    return _unless_failed(await arun_with_rate_limit_retry(tried))


def _unless_failed(result: T | Exception) -> T:
    if isinstance(result, Exception):
        raise result
    return result


class _Failures:
    """Raises what CrewAI's LLMs raise as the failures that flows know. It keeps no state."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        failure = _failure(error) if isinstance(error, Exception) else None
        if failure is not None:
            raise failure from error


_FAILURES = _Failures()


def _failure(error: Exception) -> BackendError | None:
    if isinstance(error, BackendError | HookAborted | LLMCallBlockedError):
        return None  # a hook's word is no failure of a provider's, though one of them is a ValueError
    if isinstance(error, LLMContextLengthExceededError):
        return ContextOverflowError(str(error))
    # CrewAI words anew what its clients raise: the errors themselves say more.
    said = failure_of(error.__cause__) if isinstance(error.__cause__, Exception) else None
    said = said or failure_of(error)
    return BadResponseError(str(error)) if said is None and isinstance(error, ValueError) else said
