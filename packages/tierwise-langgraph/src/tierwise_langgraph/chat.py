"""A chat model that sends each call to the smallest model that can answer it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.config import ensure_config
from pydantic import PrivateAttr
from tierwise import Decision, ModelSpec, Reply, Router, Task
from tierwise.backends import native_models
from tierwise.context import resolve
from tierwise.errors import MissingExtraError
from tierwise.task import task_fields

from tierwise_langgraph.backend import LangChainBackend, Request
from tierwise_langgraph.convert import native_chunk, tools_to_core, whole_message
from tierwise_langgraph.history import to_core
from tierwise_langgraph.profile import shared_profile
from tierwise_langgraph.state import KEY, decided
from tierwise_langgraph.structured import Structured, asked_for

__all__ = ["RoutedChatModel"]

_FREE_CHOICE = (None, False, "auto", "none")
_NO_JOB = ("model", "agent")
"""What LangChain's own agents call the node that asks the model: it says nothing of the job."""


class RoutedChatModel(BaseChatModel):
    """One chat model over a router's fleet: use it wherever LangChain or LangGraph takes a chat model.

    Only the answer that the router accepts reaches callbacks, traces and streams, with the usage of that one call;
    the message's `response_metadata["tierwise"]` says who answered and what all calls cost. In a graph the session is
    the thread, the node (and so the job, unless a task names one) is the graph's, and a decision that a `route_node`
    wrote into the state is obeyed.

    A call can say more than the model does: `task={...}` adds fields of the task, and `model="large"` starts at that
    tier, or at that model; give them to `bind`, or to `invoke` and its kin. For a whole graph, put fields of the task
    into the config: `{"configurable": {"tierwise": {"max_tier": "small"}}}`.

    Args:
        router: Decides which model answers.
        models: Chat models by the alias or id of the fleet's model, or by the name of a tier of one model; the others
            are built from their `provider:name` by LangChain's `init_chat_model`, without retries of their own.
        task: Fields of every task, e.g. `{"job": "plan", "trust": "local"}`.
        on_reply: Is given the reply of each run that came to its end, with the whole receipt.

    Raises:
        UnknownNameError: A name of `models` stands for nothing in the fleet, or a task has no such field.
        MissingExtraError: A model has to be built, and LangChain is not installed.
    """

    router: Any
    models: Mapping[str, Any] = {}
    task: Mapping[str, Any] = {}
    on_reply: Callable[[Reply], None] | None = None
    _targets: dict[str, BaseChatModel] = PrivateAttr()

    def __init__(self, router: Router, *, models: Mapping[str, BaseChatModel] | None = None, **fields: Any) -> None:
        targets = native_models(router.fleet, models or {}, _made)
        # A cache of whole answers cannot know that the router would decide otherwise today.
        own: dict[str, Any] = {"router": router, "models": models or {}, "cache": False}
        own["profile"] = shared_profile(router.fleet, targets)
        super().__init__(**own | fields)
        task_fields(self.task)
        self._targets = targets

    # What every call reads is no private attribute: pydantic takes microseconds to find one.
    @cached_property
    def _routed(self) -> Router:
        return self.router.using(LangChainBackend(self._targets))

    @cached_property
    def _identity(self) -> dict[str, Any]:
        tiers = {tier.name: [model.key for model in tier.models] for tier in self.router.fleet.tiers}
        return {"fleet": tiers, "task": dict(self.task)}

    @property
    def _llm_type(self) -> str:
        return "tierwise"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        # Which model answers is known only when it has: its name is in the answer's metadata, where traces look too.
        name: str = kwargs.get("model") or "tierwise"
        params = LangSmithParams(ls_provider="tierwise", ls_model_type="chat", ls_model_name=name)
        if stop:
            params["ls_stop"] = stop
        return params

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self._identity

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Keeps the tools as they are: each target binds them in its own way when it is called."""
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=list(tools), **choice, **kwargs)

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        include_raw: bool = False,
        method: str | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Answers of a type. What does not fit goes up a tier; if nothing fits, `RejectedError` is raised.

        Args:
            schema: A pydantic model, a TypedDict, a JSON schema or OpenAI's form of a function; not needed for
                `json_mode`.
            include_raw: Gives `{"raw": message, "parsed": answer, "parsing_error": error}`, and raises nothing for an
                answer that does not fit.
            method: `json_schema`, `function_calling` or `json_mode`; each target's own default if not given.
            strict: Whether the provider is to enforce the schema, where it can.
            **kwargs: None are known.

        Raises:
            ValueError: An argument has a value that it cannot have.
        """
        if kwargs:
            raise ValueError(f"unsupported arguments: {', '.join(kwargs)}")
        structured = Structured.of(schema, method, strict)
        typed = cast(
            "Runnable[LanguageModelInput, AIMessage]",
            self.bind(structured=structured, ls_structured_output_format=structured.for_traces),
        )
        return structured.with_raw(typed) if include_raw else typed | RunnableLambda(structured.read)

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
        config = ensure_config()
        given: dict[str, Any] = (config.get("configurable") or {}).get(KEY) or {}
        own = {**self.task, **task_fields({**given, **options.pop("task", {})})}
        asked = options.pop("model", None)
        if asked is not None:
            own["decision"] = self._override(asked)
        fields = _where(config) | own
        if "decision" not in own:
            fields["decision"] = decided(config, fields["job"])
        return Task(to_core(messages), **_what(stop, options) | fields)

    def _override(self, name: str) -> Decision:
        """The decision to start at a tier, or at a model."""
        fleet = self._routed.fleet
        models = resolve(fleet, name, where="model")
        tier = next(tier.name for tier in fleet.tiers if name == tier.name or models[0] in tier.models)
        return Decision(tier, model=None if name == tier else name, rule="override", reason=f"model={name!r}")

    def _result(self, reply: Reply) -> ChatResult:
        self._tell(reply)
        message = whole_message(cast("AIMessage", reply.outcome.raw))
        message.response_metadata[KEY] = reply.as_metadata()
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stamp(self, reply: Reply) -> ChatGenerationChunk:
        # One chunk alone carries it: merging chunks strings metadata together.
        self._tell(reply)
        metadata = {KEY: reply.as_metadata()}
        return ChatGenerationChunk(
            message=AIMessageChunk(content="", response_metadata=metadata, chunk_position="last")
        )

    def _tell(self, reply: Reply) -> None:
        if self.on_reply is not None:
            self.on_reply(reply)


def _where(config: Mapping[str, Any]) -> dict[str, Any]:
    """What LangGraph knows of the call."""
    metadata: Mapping[str, Any] = config.get("metadata") or {}
    node = metadata.get("langgraph_node")
    return {
        "node": node,
        "job": None if node in _NO_JOB else node,
        "role": metadata.get("lc_agent_name"),
        "session": metadata.get("thread_id"),
    }


def _what(stop: list[str] | None, options: dict[str, Any]) -> dict[str, Any]:
    """What LangChain says of the request beside its messages."""
    tools = options.pop("tools", ())
    structured: Structured | None = options.pop("structured", None)
    request = Request(stop, tools, options, structured)
    if structured is None:
        required = options.get("tool_choice") not in _FREE_CHOICE
        return {
            "tools": tools_to_core(tools),
            "tools_required": required,
            "output_schema": asked_for(options),
            "native": request,
        }
    # A small model may write the call as text: it is read as one only if the task has the tool.
    offered = [structured.schema] if structured.method == "function_calling" else []
    return {"tools": tools_to_core(offered), "output_schema": structured.output_schema, "native": request}


def _made(spec: ModelSpec) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        needed = f"model {spec.id!r}, which `models` does not have,"
        raise MissingExtraError(needed, "tierwise-langgraph[agents]") from error
    make = cast("Callable[..., BaseChatModel]", init_chat_model)
    model = make(spec.id, **spec.options)
    if "max_retries" not in type(model).model_fields or "max_retries" in spec.options:
        return model
    # A client's own retries would come on top of the fallbacks.
    return make(spec.id, max_retries=0, **spec.options)
