"""What the backends of framework adapters share: which model object of the framework stands for which model."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from tierwise.errors import ConfigError, UnknownNameError
from tierwise.fleet.fleet import Fleet
from tierwise.fleet.model import ModelSpec

__all__ = ["native_models", "runs_here"]

M = TypeVar("M")


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


def runs_here(url: str, model: str) -> bool:
    """True if an Ollama server at that address is on this machine, and runs the model itself.

    Ask it of Ollama alone: any other server on this machine may be a gateway that sends content on.

    Args:
        url: The server's address, with or without a scheme.
        model: The model's name at Ollama; its cloud models are run elsewhere, whichever server is asked.
    """
    if model.endswith((":cloud", "-cloud")):
        return False
    try:
        name = urlsplit(url if "://" in url else f"//{url}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
