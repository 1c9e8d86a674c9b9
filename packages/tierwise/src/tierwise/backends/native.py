"""What the backends of framework adapters share: which of the framework's model objects stands for which model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TypeVar

from tierwise.backends.base import Backend
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.fleet.fleet import Fleet
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE, Price
from tierwise.task import Trust

__all__ = ["NativeBackend", "native_models"]

M = TypeVar("M")


class NativeBackend(Backend):
    """Calls a framework's own model objects. An Ollama on this machine is local and free; others are unknown."""

    @abstractmethod
    def is_local(self, model: ModelSpec) -> bool:
        """True if the object for the model is an Ollama's that runs it here: other servers may be gateways."""

    def trust(self, model: ModelSpec) -> Trust | None:
        """See `Backend`."""
        return "local" if self.is_local(model) else None

    def price(self, model: ModelSpec) -> Price | None:
        """See `Backend`."""
        return FREE if self.is_local(model) else None


def native_models(fleet: Fleet, given: Mapping[str, M], make: Callable[[ModelSpec], M]) -> dict[str, M]:
    """The framework's model object for each model of the fleet, by the model's key.

    Args:
        fleet: The fleet.
        given: Model objects by a model's alias or id, or by the name of a tier that has one model.
        make: Makes the object for a model that is not among them.

    Raises:
        UnknownNameError: A name stands for nothing in the fleet; the message names the nearest.
        ConfigError: A name stands for a tier of several models.
    """
    chosen: dict[str, M] = {}
    for name, model in given.items():
        for spec in _named(fleet, name):
            chosen[spec.key] = model
    return {spec.key: chosen[spec.key] if spec.key in chosen else make(spec) for spec in fleet.models}


def _named(fleet: Fleet, name: str) -> list[ModelSpec]:
    specs = [m for m in fleet.models if name in (m.key, m.id)]
    if specs:
        return specs
    tier = next((t for t in fleet.tiers if t.name == name), None)
    if tier is None:
        raise UnknownNameError("tier or model", name, [*fleet.names, *(m.key for m in fleet.models)], where="models")
    if len(tier.models) > 1:
        keys = ", ".join(repr(m.key) for m in tier.models)
        raise ConfigError(
            f"models[{name!r}] stands for a tier of several models: name them apart: {keys}",
            setting="models",
            value=name,
        )
    return list(tier.models)
