"""What a fleet's models are in Pydantic AI, and which of them a router would ask first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, infer_model
from tierwise import Decision, Fleet, ModelSpec, Router, Task
from tierwise.backends import native_models
from tierwise.context import Context

from tierwise_pydantic_ai.convert import to_core, tools_to_core

__all__ = ["first_model", "fleet_models", "session_of", "task_of"]


def fleet_models(fleet: Fleet, given: Mapping[str, Model | str] | None) -> dict[str, Model]:
    """A model for each model of the fleet, by its key; those that are not given are inferred from `provider:name`.

    Raises:
        UnknownNameError: A given name stands for nothing in the fleet.
    """
    objects = {name: infer_model(model) for name, model in (given or {}).items()}
    return native_models(fleet, objects, _inferred)


def _inferred(spec: ModelSpec) -> Model:
    return infer_model(spec.id)


def session_of(messages: Iterable[ModelMessage]) -> str | None:
    """The id of the conversation, which an agent writes on each of its messages; `None` outside of one."""
    return next((m.conversation_id for m in reversed(list(messages)) if m.conversation_id is not None), None)


def task_of(
    messages: list[ModelMessage], parameters: ModelRequestParameters, fields: Mapping[str, Any], **own: Any
) -> Task:
    """What policies and verifiers see of a request.

    Args:
        messages: The history, with the request at its end.
        parameters: Tools and output type.
        fields: What the user says of every task.
        **own: Further fields.

    Raises:
        UserError: The request is one that cannot be routed.
    """
    _check(messages, parameters)
    # Which way an output type takes is open until a model is chosen (`auto`): by a tool, or as the whole text.
    typed = parameters.output_object if parameters.output_mode in ("native", "prompted", "auto") else None
    asked: dict[str, Any] = {
        "session": session_of(messages),
        "tools": tools_to_core(parameters),
        "tools_required": parameters.output_mode == "tool" and not parameters.allow_text_output,
        "output_schema": None if typed is None else typed.json_schema,
        **own,
        **fields,
    }
    return Task(to_core(messages), **asked)


def _check(messages: list[ModelMessage], parameters: ModelRequestParameters) -> None:
    last = messages[-1] if messages else None
    if isinstance(last, ModelResponse) and last.state == "suspended":
        raise UserError(
            f"the history ends in a suspended response of {last.model_name!r}, which only that model can go on with: "
            "continue it with the model itself"
        )
    if parameters.allow_image_output:
        raise UserError(
            "an image cannot be judged, so requests for images are not routed: give this agent an image model itself"
        )


def first_model(router: Router, task: Task, decision: Decision, *, gated: bool) -> ModelSpec:
    """The model that answers first by a decision; while that is pending, the first of the lowest tier.

    Args:
        router: Whose fleet it is.
        task: What bounds it: trust, tiers, capabilities.
        decision: Where to start.
        gated: Whether a tier that may act, and not answer, counts.

    Raises:
        RoutingError: No model may or can take the task.
    """
    context = Context.of(router.fleet, task, router.state)
    tiers = context.ladder if decision.pending else context.starting(decision).climb(gated=gated)
    return tiers[0].models[0]
