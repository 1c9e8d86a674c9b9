"""A model of the fleet for each step of an agent's run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, ModelResolutionContext, ModelSelectionContext
from pydantic_ai.tools import AgentDepsT
from tierwise import Decision, Router
from tierwise.context import resolve
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.task import task_fields

from tierwise_pydantic_ai.backend import PydanticAIBackend
from tierwise_pydantic_ai.routing import first_model, fleet_models, task_of

__all__ = ["RoutingCapability"]


@dataclass
class RoutingCapability(AbstractCapability[AgentDepsT]):
    """Selects, by the router's policy, the model that makes each step of a run.

    The agent then works with that model itself: its profile, its native tools, its settings, its own streams. Nothing
    is judged, nothing escalates within a step, and no receipt is written: for that, give the agent a `RoutedModel`. A
    step that fails goes up in the next one (`AfterError`), and Pydantic AI's `ModelFallback` composes with it.

    A model is selected before the tools of a step are known: rules that read them abstain here. The agent's name is the
    task's role.
    """

    router: Router
    """Decides: its policy, its fleet, its state. A policy that would have to ask a model cannot decide here."""
    models: Mapping[str, Model | str] = field(default_factory=dict[str, "Model | str"])
    """Models, or Pydantic AI's names of them, by the alias or id of the fleet's model, or by the name of a tier of one
    model; the others are inferred from their `provider:name`."""
    _: KW_ONLY
    task: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of every task, e.g. `{"job": "plan", "trust": "local"}`."""
    on_decision: Callable[[Decision], None] | None = None
    """Is given each step's decision."""

    def __post_init__(self) -> None:
        """Makes the models.

        Raises:
            UnknownNameError: A name of `models` stands for nothing in the fleet, or a task has no such field.
        """
        task_fields(self.task)
        self._models = fleet_models(self.router.fleet, self.models)
        self._router = self.router.using(PydanticAIBackend(self._models))

    @classmethod
    def from_spec(
        cls,
        config: str | Path = "tierwise.toml",
        *,
        models: Mapping[str, str] | None = None,
        task: Mapping[str, Any] | None = None,
    ) -> Self:
        """Made from an agent's spec, which names the router's file.

            capabilities:
              - RoutingCapability: tierwise.toml

        Args:
            config: The file that describes the router.
            models: See `models`.
            task: See `task`.
        """
        return cls(Router.from_file(config), dict(models or {}), task=dict(task or {}))

    def get_model(self) -> Callable[[ModelSelectionContext[AgentDepsT]], Model]:
        """What selects the model of each step."""
        return self._selected

    async def resolve_model_id(self, ctx: ModelResolutionContext[AgentDepsT], *, model_id: str) -> Model | None:
        """The fleet's model, where one is asked for by a tier's or a model's name: `agent.run(..., model="large")`."""
        try:
            spec = resolve(self.router.fleet, model_id)[0]
        except UnknownNameError:
            return None
        return self._models[spec.key]

    def _selected(self, step: ModelSelectionContext[AgentDepsT]) -> Model:
        own = {"session": step.conversation_id, "role": step.agent.name}
        task = task_of(step.messages, ModelRequestParameters(), self.task, **own)
        self._remember(task.session, step)
        decision = self._router.decide(task)
        if decision.pending:
            raise ConfigError(
                f"policy {decision.rule!r} has to ask a model, and a model is selected here without any call: use a "
                "policy that asks none, or a RoutedModel",
                setting="policy",
                value=decision.rule,
            )
        if self.on_decision is not None:
            self.on_decision(decision)
        return self._models[first_model(self._router, task, decision, gated=False).key]

    def _remember(self, session: str | None, step: ModelSelectionContext[AgentDepsT]) -> None:
        """The tier of the step before: rules about errors and sessions go on from there."""
        key = next((key for key, model in self._models.items() if model is step.model), None)
        answers = [message for message in step.messages if isinstance(message, ModelResponse)]
        if session is None or key is None or step.run_step == 1 or not answers:
            return
        fleet = self._router.fleet
        tier = next(t.name for t in fleet.tiers if any(m.key == key for m in t.models))
        self._router.state.keep_session(session, tier, answers[-1].usage.input_tokens)
