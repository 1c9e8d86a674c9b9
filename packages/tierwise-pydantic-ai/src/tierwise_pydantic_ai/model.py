"""A model that sends each request to the smallest model that can answer it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from types import AsyncGeneratorType, TracebackType
from typing import Any, Self, cast

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage
from tierwise import Reply, Router, Task
from tierwise.attempt import Chunk
from tierwise.task import task_fields

from tierwise_pydantic_ai.backend import PydanticAIBackend, Request
from tierwise_pydantic_ai.profile import shared_profile
from tierwise_pydantic_ai.response import RoutedResponse, stamped
from tierwise_pydantic_ai.routing import first_model, fleet_models, task_of

__all__ = ["RoutedModel"]


class _Requests:
    """A model's requests, routed.

    It is no `Model`: what Pydantic AI puts around the requests of each class of models, a budget for downloads and the
    restoring of tokens, is for a class that builds them. Each model behind the router has it around its own.
    """

    _models: Mapping[str, Model]
    _router: Router
    _fields: Mapping[str, Any]
    _on_reply: Callable[[Reply], None] | None

    @cached_property
    def profile(self) -> ModelProfile:
        """What all models share; each request is prepared by the profile of the model that it goes to."""
        return shared_profile(self._models.values())

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Routes one request.

        Raises:
            TierwiseError: See `Router.run`.
            UserError: The request, or what a model answers, is nothing that can be routed: a suspended response, or an
                image.
        """
        parameters = self._with_output_mode(model_request_parameters)
        reply = await self._router.arun(self._task(messages, model_settings, parameters))
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
        """Routes one streamed request. A failure before the first event is raised here; what is left is closed.

        Raises:
            TierwiseError: See `Router.stream`.
            UserError: See `request`.
        """
        parameters = self._with_output_mode(model_request_parameters)
        task = self._task(messages, model_settings, parameters, run_context)
        async with self._router.astream(task) as stream:
            chunks = cast("AsyncGeneratorType[Chunk, None]", aiter(stream))
            first = await anext(chunks)
            yield RoutedResponse(parameters, first, chunks, stream, self._tell)

    async def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> RequestUsage:
        """What the model that tries first counts.

        Raises:
            NotImplementedError: That model counts none.
        """
        parameters = self._with_output_mode(model_request_parameters)
        task = self._task(messages, model_settings, parameters)
        model = self._models[first_model(self._router, task, self._router.decide(task), gated=True).key]
        return await model.count_tokens(model.prepare_messages(messages, parameters), model_settings, parameters)

    def _with_output_mode(self, parameters: ModelRequestParameters) -> ModelRequestParameters:
        """The way that an output type takes where that is open: the one that all models take, if they agree on one."""
        mode = self.profile.get("default_structured_output_mode") if parameters.output_mode == "auto" else None
        return parameters if mode is None else parameters.with_default_output_mode(mode)

    def _task(
        self,
        messages: list[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
        context: RunContext[Any] | None = None,
    ) -> Task:
        native = Request(messages, settings, parameters, context)
        return task_of(messages, parameters, self._fields, native=native)

    def _tell(self, reply: Reply) -> None:
        if self._on_reply is not None:
            self._on_reply(reply)


class RoutedModel(_Requests, Model):
    """One model over a router's fleet: use it wherever Pydantic AI takes a model.

    A response is that of the model that answered, with its name and its usage; the calls before it are its
    `failed_attempts`, with their cost, and `metadata["tierwise"]` says who answered and what all calls cost. The
    conversation's id is the session.

    Args:
        router: Decides which model answers.
        models: Models, or Pydantic AI's names of them, by the alias or id of the fleet's model, or by the name of a
            tier of one model; the others are inferred from their `provider:name` by Pydantic AI.
        task: Fields of every task, e.g. `{"job": "plan", "trust": "local"}`.
        on_reply: Is given the reply of each run that came to its end, with the whole receipt.

    Raises:
        UnknownNameError: A name of `models` stands for nothing in the fleet, or a task has no such field.
    """

    def __init__(
        self,
        router: Router,
        *,
        models: Mapping[str, Model | str] | None = None,
        task: Mapping[str, Any] | None = None,
        on_reply: Callable[[Reply], None] | None = None,
    ) -> None:
        super().__init__()
        self._models = fleet_models(router.fleet, models)
        self._router = router.using(PydanticAIBackend(self._models))
        self._fields = task_fields(task)
        self._on_reply = on_reply
        self._entered: list[AsyncExitStack] = []

    @property
    def model_name(self) -> str:
        """The names of all models, smallest tier first."""
        return "tierwise:" + ",".join(m.model_name for m in self._models.values())

    @property
    def model_id(self) -> str:
        """The ids of all models, smallest tier first."""
        return "tierwise:" + ",".join(m.model_id for m in self._models.values())

    @property
    def system(self) -> str:
        """The name of the system, for traces."""
        return "tierwise"

    async def __aenter__(self) -> Self:
        """Enters all models, which manage their clients."""
        async with AsyncExitStack() as stack:
            for model in self._models.values():
                await stack.enter_async_context(model)
            self._entered.append(stack.pop_all())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Leaves all models."""
        await self._entered.pop().aclose()
        return None

    def _refresh_http_client(self) -> None:
        # An agent asks this of its model when a run begins: on another event loop, a client has to be made anew.
        for model in self._models.values():
            model._refresh_http_client()

    @asynccontextmanager
    async def _run_scope(self) -> AsyncGenerator[None]:
        # An agent holds this around a run: connections that a model keeps open for that long.
        async with AsyncExitStack() as stack:
            for model in self._models.values():
                await stack.enter_async_context(model._run_scope())
            yield

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
