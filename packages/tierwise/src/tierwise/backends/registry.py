"""Which backend calls which provider."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from tierwise.attempt import WORK, Attempt
from tierwise.backends.base import Backend
from tierwise.backends.function import FunctionBackend
from tierwise.backends.work import WorkBackend
from tierwise.errors import ConfigError, MissingExtraError, UnknownNameError
from tierwise.fleet.fleet import Fleet
from tierwise.fleet.model import ModelSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["BackendLike", "Backends", "installed"]

GROUP = "tierwise.backends"
"""The entry points of installed backends: a provider's prefix, or `*` for every provider that no other backend has."""

ANY = "*"

BackendLike: TypeAlias = "Backend | Callable[[Attempt], Any]"


class Backends:
    """The backends of a router: those given, then those of the installed packages.

    Args:
        given: Backends (or plain functions) by provider prefix; `*` serves every prefix that has none of its own.

    Raises:
        ConfigError: They are not by prefix, or one is no backend.
    """

    def __init__(self, given: Mapping[str, BackendLike] | None = None) -> None:
        if not isinstance(cast("object", given), Mapping | None):
            raise ConfigError(
                f"backends={given!r} must be by provider: backends={{'ollama': OllamaBackend()}}; '*' stands for any",
                setting="backends",
                value=given,
            )
        self._made: dict[str, Backend] = {name: _as_backend(name, b) for name, b in (given or {}).items()}
        self._made.setdefault(WORK.provider, WorkBackend())
        self._given_any = ANY in self._made

    def find(self, provider: str) -> Backend | None:
        """The backend of a provider; `None` if no package that has one is installed."""
        if provider in self._made:
            return self._made[provider]
        if self._given_any:
            return self._made[ANY]
        points = _installed()
        if provider in points:
            return self._made.setdefault(provider, points[provider].load()())
        if ANY in points:
            return self._made.setdefault(ANY, points[ANY].load()())
        return None

    def get(self, model: ModelSpec) -> Backend:
        """The backend that calls the model.

        Raises:
            MissingExtraError: No package that has one is installed; the message says which to install.
        """
        backend = self.find(model.provider)
        if backend is None:
            raise MissingExtraError(_needing(model), _package(model.provider))
        return backend

    def label(self, fleet: Fleet) -> Fleet:
        """The fleet with the backends' own trust labels and prices where the user gave none."""

        def labelled(model: ModelSpec) -> ModelSpec:
            if model.trust is not None and model.price is not None:
                return model
            backend = self.find(model.provider)
            if backend is None:
                return model
            return replace(model, trust=model.trust or backend.trust(model), price=model.price or backend.price(model))

        return fleet.map(labelled)


def installed(provider: str, **options: Any) -> Backend:
    """The backend of an installed package, with options of its own.

    Args:
        provider: A provider's prefix, or `*`.
        **options: Arguments of the backend's class.

    Raises:
        ConfigError: The backend has no such option.
        MissingExtraError: No package that has a backend for the prefix is installed.
    """
    point = _installed().get(provider)
    if point is None:
        raise MissingExtraError(f"backend {provider!r}", _package(provider))
    make = point.load()
    known = inspect.signature(make).parameters
    takes_any = any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in known.values())
    for name in options:
        if name not in known and not takes_any:
            raise UnknownNameError("option", name, known, where=f"backend {provider!r}")
    return make(**options)


def _needing(model: ModelSpec) -> str:
    """What needs a package: the model, or its provider where that may be a slip: `qwen3:4b`, `olama:qwen3:4b`."""
    from difflib import get_close_matches

    from tierwise.fleet.discovery import KEYS

    known = ("ollama", *KEYS, *_installed())
    if model.provider in known:
        return f"model {model.id!r}"
    near = get_close_matches(model.provider, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"provider {model.provider!r}{hint} of model {model.id!r}"


def _package(provider: str) -> str:
    return "tierwise-ollama" if provider == "ollama" else "tierwise-litellm"


def _as_backend(name: str, value: BackendLike) -> Backend:
    if isinstance(value, Backend):
        return value
    if callable(value):
        return FunctionBackend(value)
    raise ConfigError(f"backends[{name!r}]={value!r} is no Backend and no function", setting="backends", value=value)


@lru_cache(maxsize=1)
def _installed() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}
