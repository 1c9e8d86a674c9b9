"""A chat model that sends each call to the smallest model that can answer it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.runnables.config import ensure_config
from pydantic import PrivateAttr
from tierwise import ModelSpec, Reply, Router, Task
from tierwise.backends import native_models

from tierwise_langgraph.backend import LangChainBackend, Request
from tierwise_langgraph.convert import native_chunk, to_core, tools_to_core

__all__ = ["RoutedChatModel"]

_REQUIRED = ("any", "required", True)


class RoutedChatModel(BaseChatModel):
    """One chat model over a router's fleet: use it wherever LangChain or LangGraph takes a chat model.

    Only the answer that the router accepts reaches callbacks, traces and streams, with the usage of that one call;
    the message's `response_metadata["tierwise"]` says who answered and what all calls cost.

    Args:
        router: Decides which model answers.
        models: Chat models by the alias or id of the fleet's model, or by the name of a tier of one model; the others
            are built from their `provider:name` by LangChain's `init_chat_model`.
        task: Fields of every task, e.g. `{"job": "plan", "trust": "local"}`. Node and session are LangGraph's own.
        on_reply: Is given the reply of each run that came to its end, with the whole receipt.

    Raises:
        UnknownNameError: A name of `models` stands for nothing in the fleet.
    """

    router: Any
    task: Mapping[str, Any] = {}
    on_reply: Callable[[Reply], None] | None = None
    _routed: Router = PrivateAttr()

    def __init__(self, router: Router, *, models: Mapping[str, BaseChatModel] | None = None, **fields: Any) -> None:
        # A cache of whole answers cannot know that the router would decide otherwise today.
        options: dict[str, Any] = {"router": router, "cache": False} | fields
        super().__init__(**options)
        self._routed = router.using(LangChainBackend(native_models(router.fleet, models or {}, _made)))

    @property
    def _llm_type(self) -> str:
        return "tierwise"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        # The model that answers is known only when it has: traces read it from the answer.
        params = super()._get_ls_params(stop, **kwargs)
        known: Any = {"ls_model_name": "tierwise"} | params | {"ls_provider": "tierwise"}
        return known

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"fleet": {t.name: [m.key for m in t.models] for t in self._routed.fleet.tiers}, "task": self.task}

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Keeps the tools as they are: each target binds them in its own way when it is called."""
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=list(tools), **choice, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(self._routed.run(self._task(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self._result(await self._routed.arun(self._task(messages, stop, kwargs)))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self._routed.stream(self._task(messages, stop, kwargs)) as stream:
            yield from filter(None, map(native_chunk, stream))
            yield self._stamp(stream.reply)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async with self._routed.astream(self._task(messages, stop, kwargs)) as stream:
            async for chunk in stream:
                piece = native_chunk(chunk)
                if piece is not None:
                    yield piece
            yield self._stamp(stream.reply)

    def _task(self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]) -> Task:
        metadata: Mapping[str, Any] = ensure_config().get("metadata") or {}
        tools = options.pop("tools", ())
        fields: dict[str, Any] = {
            "node": metadata.get("langgraph_node"),
            "session": metadata.get("thread_id"),
            "tools": tools_to_core(tools),
            "tools_required": options.get("tool_choice") in _REQUIRED,
            "native": Request(messages, stop, tools, options),
        }
        return Task(to_core(messages), **fields | dict(self.task))

    def _result(self, reply: Reply) -> ChatResult:
        self._tell(reply)
        message = cast("AIMessage", reply.outcome.raw)
        message.response_metadata["tierwise"] = reply.as_metadata()
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stamp(self, reply: Reply) -> ChatGenerationChunk:
        # One chunk alone carries it: merging chunks strings metadata together.
        self._tell(reply)
        metadata = {"tierwise": reply.as_metadata()}
        return ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata=metadata))

    def _tell(self, reply: Reply) -> None:
        if self.on_reply is not None:
            self.on_reply(reply)


def _made(spec: ModelSpec) -> BaseChatModel:
    from langchain.chat_models import init_chat_model

    return init_chat_model(spec.id)
