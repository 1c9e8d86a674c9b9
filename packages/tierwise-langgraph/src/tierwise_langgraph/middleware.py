"""Routing for agents of `create_agent`: each step's model call goes to a routed model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, NotRequired

from langchain_core.language_models import BaseChatModel
from langgraph.types import Command
from tierwise import Reply, Router
from tierwise.errors import MissingExtraError

from tierwise_langgraph.chat import RoutedChatModel
from tierwise_langgraph.state import Routing, bill, merged

try:
    from langchain.agents.middleware import (
        AgentMiddleware,
        AgentState,
        ExtendedModelResponse,
        ModelRequest,
        ModelResponse,
    )
except ImportError as error:
    raise MissingExtraError("TierwiseMiddleware", "tierwise-langgraph[agents]") from error

__all__ = ["TierwiseMiddleware"]


class RoutedAgentState(AgentState[Any]):
    """An agent's state with the running cost."""

    tierwise: NotRequired[Annotated[Routing, merged]]


class TierwiseMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Gives each step of an agent a tier: whatever model the agent was made with, the router's fleet answers.

    The model of the request is replaced, and the step is run once: so tools and typed output are bound to what answers,
    a wrong tool call or output goes up a tier before anyone sees it, and other middleware sees one call. Put middleware
    that chooses models by itself inside this one, or leave it out: the innermost choice holds.

    The running cost is in the agent's state under `tierwise` (and in the custom stream); `receipt_of(router, result)`
    gives the whole receipt.

    Args:
        router: Decides which model answers.
        models: See `RoutedChatModel`.
        task: Fields of every task. Node, agent and session are LangChain's own.
        on_reply: Is given the reply of each step, with its receipt.

    Raises:
        UnknownNameError: A name of `models` stands for nothing in the fleet.
    """

    state_schema: type[AgentState[Any]] = RoutedAgentState

    def __init__(
        self,
        router: Router,
        *,
        models: Mapping[str, BaseChatModel] | None = None,
        task: Mapping[str, Any] | None = None,
        on_reply: Callable[[Reply], None] | None = None,
    ) -> None:
        super().__init__()
        self.model = RoutedChatModel(router, models=models, task=task or {}, on_reply=on_reply)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ExtendedModelResponse[Any]:
        """Runs the step with the routed model."""
        return _billed(handler(request.override(model=self.model)))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ExtendedModelResponse[Any]:
        """The async twin of `wrap_model_call`."""
        return _billed(await handler(request.override(model=self.model)))


def _billed(response: ModelResponse[Any]) -> ExtendedModelResponse[Any]:
    return ExtendedModelResponse(response, Command(update=bill(*response.result)))
