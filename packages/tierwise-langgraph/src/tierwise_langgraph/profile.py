"""What all models behind a routed model can do: LangChain picks strategies by a model's profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, ModelProfile
from tierwise import Fleet, ModelSpec

__all__ = ["shared_profile"]

_BY_CAPABILITY = {"tools": "tool_calling", "vision": "image_inputs"}
"""What the fleet says of a model, and LangChain's name for it."""


def shared_profile(fleet: Fleet, models: dict[str, BaseChatModel]) -> ModelProfile:
    """The profile that holds whichever model answers.

    What one model cannot do is not promised, and what is not known of one is left out; of limits the lowest holds.

    Args:
        fleet: What the user says of the models: context windows and capabilities count where a profile says nothing.
        models: The chat models, by the fleet's keys.
    """
    profiles = [_profile(spec, models[spec.key]) for spec in fleet.models]
    names = [name for name in profiles[0] if all(name in profile for profile in profiles)]
    shared = {name: _shared([profile[name] for profile in profiles]) for name in names}
    return cast("ModelProfile", {name: value for name, value in shared.items() if value is not None})


def _profile(spec: ModelSpec, model: BaseChatModel) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if spec.context is not None:
        said["max_input_tokens"] = spec.context
    if spec.capabilities is not None:
        said |= {name: ours in spec.capabilities for ours, name in _BY_CAPABILITY.items()}
    return {**(model.profile or {}), **said}


def _shared(values: Sequence[Any]) -> Any:
    """The value that holds for all; `None` if there is none."""
    first = values[0]
    if all(value == first for value in values):
        return first
    if all(isinstance(value, bool) for value in values):
        return all(values)
    if all(isinstance(value, int) for value in values):
        return min(values)
    if all(isinstance(value, list) for value in values):
        return [item for item in first if all(item in value for value in values)]
    return None
