"""A model that sends each request to the smallest model that can answer it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, Self, cast

from pydantic_ai import RunContext
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
)
from pydantic_ai.models import (
    Model,
    ModelRequestParameters,
    StreamedResponse,
    infer_model,
)
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from tierwise import ModelSpec, Reply, Router, Task
from tierwise.backends import native_models

from tierwise_pydantic_ai.backend import PydanticAIBackend, Request
from tierwise_pydantic_ai.convert import to_core, tools_to_core
from tierwise_pydantic_ai.response import RoutedResponse, stamped

__all__ = ["RoutedModel"]


class RoutedModel(Model):
    """One model over a router's fleet: use it wherever Pydantic AI takes a model.

    A response's usage is that of the accepted call; the calls before it are its `failed_attempts`, with their cost, and
    `metadata["tierwise"]` says who answered and what all calls cost.

    Args:
        router: Decides which model answers.
        models: Models by the alias or id of the fleet's model, or by the name of a tier of one model; the others are
            inferred from their `provider:name` by Pydantic AI.
        task: Fields of every task, e.g. `{"job": "plan", "trust": "local"}`.
        on_reply: Is given the reply of each run that came to its end, with the whole receipt.

    Raises:
        UnknownNameError: A name of `models` stands for nothing in the fleet.
    """

    def __init__(
        self,
        router: Router,
        *,
        models: Mapping[str, Model] | None = None,
        task: Mapping[str, Any] | None = None,
        on_reply: Callable[[Reply], None] | None = None,
    ) -> None:
        super().__init__()
        self._models = native_models(router.fleet, models or {}, _inferred)
        self._router = router.using(PydanticAIBackend(self._models))
        self._fields = dict(task or {})
        self._on_reply = on_reply

    @property
    def model_name(self) -> str:
        """The names of all models, smallest tier first."""
        return "tierwise:" + ",".join(m.model_name for m in self._models.values())

    @property
    def system(self) -> str:
        """The name of the system, for traces."""
        return "tierwise"

    @cached_property
    def profile(self) -> ModelProfile:
        """None of its own: each model has its own profile."""
        raise NotImplementedError("a routed model has no profile of its own; each model behind it has one")

    async def __aenter__(self) -> Self:
        """Enters all models, which manage their clients."""
        async with AsyncExitStack() as stack:
            for model in self._models.values():
                await stack.enter_async_context(model)
            self._entered = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Leaves all models."""
        await self._entered.aclose()
        return None

    def prepare_request(
        self, model_settings: ModelSettings | None, model_request_parameters: ModelRequestParameters
    ) -> tuple[ModelSettings | None, ModelRequestParameters]:
        """Nothing: each model prepares its own."""
        return model_settings, model_request_parameters

    def prepare_messages(
        self, messages: list[ModelMessage], model_request_parameters: ModelRequestParameters | None = None
    ) -> list[ModelMessage]:
        """Nothing: each model prepares its own."""
        return messages

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Routes one request."""
        reply = await self._router.arun(self._task(messages, model_settings, model_request_parameters))
        self._tell(reply)
        return stamped(cast("ModelResponse", reply.outcome.raw), reply)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Routes one streamed request. A failure before the first event is raised here; what is left is closed."""
        task = self._task(messages, model_settings, model_request_parameters, run_context)
        async with self._router.astream(task) as stream:
            chunks = aiter(stream)
            first = await anext(chunks)
            yield RoutedResponse(model_request_parameters, first, chunks, stream, self._tell)

    def _task(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        context: RunContext[Any] | None = None,
    ) -> Task:
        # Which way an output type takes is open until a model is chosen (`auto`): by a tool, or as the whole text.
        typed = parameters.output_mode in ("native", "prompted", "auto") and parameters.output_object is not None
        schema = parameters.output_object.json_schema if typed and parameters.output_object else None
        fields: dict[str, Any] = {
            "session": context.conversation_id if context is not None else None,
            "tools": tools_to_core(parameters),
            "tools_required": parameters.output_mode == "tool" and not parameters.allow_text_output,
            "output_schema": schema,
            "native": Request(messages, settings, parameters, context),
        }
        return Task(to_core(messages), **fields | self._fields)

    def _tell(self, reply: Reply) -> None:
        if self._on_reply is not None:
            self._on_reply(reply)


def _inferred(spec: ModelSpec) -> Model:
    return infer_model(spec.id)
