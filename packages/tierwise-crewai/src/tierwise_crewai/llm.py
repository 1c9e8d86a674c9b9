"""An LLM that sends each call to the smallest model that can answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from crewai import LLM, BaseLLM
from crewai.llms.base_llm import llm_call_context
from pydantic import BaseModel, Field, PrivateAttr
from tierwise import ModelSpec, Reply, Router, Task
from tierwise.backends import native_models

from tierwise_crewai.backend import CrewAIBackend, Request
from tierwise_crewai.convert import to_core, tools_to_core

__all__ = ["RoutedLLM"]


class RoutedLLM(BaseLLM):
    """One LLM over a router's fleet: use it wherever CrewAI takes an LLM.

    Give each agent an instance of its own over one router: a crew adds up the usage of each agent's LLM. That usage is
    of the accepted calls; the replies' receipts count all.

    Args:
        router: Decides which model answers.
        models: LLMs by the alias or id of the fleet's model, or by the name of a tier of one model; the others are
            built from their `provider:name` by CrewAI's `LLM`.
        task: Fields of every task, e.g. `{"job": "plan", "trust": "local"}`. Role, node and session are CrewAI's own.
        on_reply: Is given the reply of each run that came to its end, with the whole receipt.

    Raises:
        UnknownNameError: A name of `models` stands for nothing in the fleet.
    """

    llm_type: str = "tierwise"
    router: Any = Field(exclude=True, repr=False)
    task: Mapping[str, Any] = Field(default_factory=dict[str, Any])
    on_reply: Callable[[Reply], None] | None = Field(default=None, exclude=True)
    _models: dict[str, BaseLLM] = PrivateAttr()
    _routed: Router = PrivateAttr()

    def __init__(self, router: Router, *, models: Mapping[str, BaseLLM] | None = None, **fields: Any) -> None:
        options: dict[str, Any] = {"model": "tierwise", "provider": "tierwise", "router": router} | fields
        super().__init__(**options)
        self._models = native_models(router.fleet, models or {}, _made)
        self._routed = router.using(CrewAIBackend(self._models))

    def call(
        self,
        messages: Any,
        tools: list[Any] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        """See `BaseLLM`."""
        task = self._task(messages, tools, callbacks, from_task, from_agent, response_model)
        return self._answer(self._routed.run(task), task, available_functions)

    async def acall(
        self,
        messages: Any,
        tools: list[Any] | None = None,
        callbacks: list[Any] | None = None,
        available_functions: dict[str, Any] | None = None,
        from_task: Any = None,
        from_agent: Any = None,
        response_model: type[BaseModel] | None = None,
    ) -> Any:
        """See `BaseLLM`."""
        task = self._task(messages, tools, callbacks, from_task, from_agent, response_model)
        return self._answer(await self._routed.arun(task), task, available_functions)

    def supports_function_calling(self) -> bool:
        """True if all models do: without it, agents ask for tools in plain text."""
        return all(_says(m, "supports_function_calling") for m in self._models.values())

    def supports_stop_words(self) -> bool:
        """True if all models do."""
        return all(m.supports_stop_words() for m in self._models.values())

    def supports_multimodal(self) -> bool:
        """True if all models do."""
        return all(m.supports_multimodal() for m in self._models.values())

    def get_context_window_size(self) -> int:
        """The smallest of all models, in tokens: what fits there fits everywhere."""
        return min(m.get_context_window_size() for m in self._models.values())

    def _task(
        self,
        messages: Any,
        tools: list[Any] | None,
        callbacks: list[Any] | None,
        from_task: Any,
        from_agent: Any,
        response_model: type[BaseModel] | None,
    ) -> Task:
        stop, stream = self.stop_sequences, bool(self._effective_stream())
        crew = getattr(from_agent, "crew", None)
        fields: dict[str, Any] = {
            "role": getattr(from_agent, "role", None),
            "node": getattr(from_task, "name", None),
            "session": None if crew is None else str(crew.id),
            "tools": tools_to_core(tools),
            "output_schema": response_model,
            "native": Request(messages, tools, callbacks, response_model, stop, stream, from_task, from_agent),
        }
        return Task(to_core(messages), **fields | dict(self.task))

    def _answer(self, reply: Reply, task: Task, functions: dict[str, Any] | None) -> Any:
        self._count(reply)
        if self.on_reply is not None:
            self.on_reply(reply)
        request = cast("Request", task.native)
        if request.stream and not reply.outcome.committed and reply.text:
            self._show(reply.text, request)
        if not (reply.tool_calls and functions):
            return reply.outcome.raw
        call = reply.tool_calls[0]
        arguments = dict(call.arguments)
        return self._handle_tool_execution(call.name, arguments, functions, request.from_task, request.from_agent)

    def _show(self, text: str, request: Request) -> None:
        """A held answer as one chunk, for those who follow the stream."""
        with llm_call_context():
            self._emit_stream_chunk_event(text, from_task=request.from_task, from_agent=request.from_agent)

    def _count(self, reply: Reply) -> None:
        usage = reply.outcome.usage
        if usage is None:
            return
        tokens = {
            "prompt_tokens": usage.input_tokens or 0,
            "completion_tokens": usage.output_tokens or 0,
            "total_tokens": (usage.input_tokens or 0) + (usage.output_tokens or 0),
            "cached_prompt_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "cache_creation_tokens": usage.cache_write_tokens,
        }
        self._track_token_usage_internal(tokens)


def _says(model: BaseLLM, name: str) -> bool:
    """An answer that not every LLM gives; the plain base class has no function calling."""
    asked = getattr(model, name, None)
    return bool(asked()) if callable(asked) else False


def _made(spec: ModelSpec) -> BaseLLM:
    return cast("BaseLLM", LLM(model=f"{spec.provider}/{spec.name}"))
