"""What the server says about itself and its models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tierwise.fleet.model import Capability

__all__ = ["ModelFacts", "ServerFacts", "full_name"]

_CAPABILITIES: dict[str, Capability] = {
    "tools": "tools",
    "vision": "vision",
    "thinking": "thinking",
    "embedding": "embeddings",
}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a server can do, by its version. A version that cannot be read counts as new: so do builds from source."""

    version: str = ""

    @property
    def guards_context(self) -> bool:
        """True if a prompt that does not fit is refused on request (`truncate`, `shift`), and not cut."""
        return self._since(0, 12, 6)

    @property
    def gives_logprobs(self) -> bool:
        """True if it knows log probabilities."""
        return self._since(0, 12, 11)

    @property
    def knows_think(self) -> bool:
        """True if it knows the `think` field."""
        return self._since(0, 9, 0)

    @property
    def knows_think_levels(self) -> bool:
        """True if `think` may be a level."""
        return self._since(0, 11, 0)

    @property
    def constrains_schema(self) -> bool:
        """True if `format` may be a JSON schema."""
        return self._since(0, 5, 0)

    def _since(self, *version: int) -> bool:
        match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", self.version)
        own = tuple(map(int, match.groups())) if match else (0, 0, 0)
        return own == (0, 0, 0) or own >= version


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What `/api/show` says about a model. What it does not say is `None`."""

    name: str
    capabilities: frozenset[str] | None = None
    """As Ollama names them."""
    window: int | None = None
    """The context that the model was trained for, in tokens."""
    parameters: int | None = None
    """Number of weights."""
    think_values: tuple[Any, ...] | None = None
    """What `think` may be."""
    remote: str | None = None
    """The cloud's host and model, where it is not the server that runs the model."""

    @classmethod
    def of(cls, name: str, shown: Mapping[str, Any]) -> ModelFacts:
        """Reads the answer of `/api/show`."""
        info = _mapping(shown.get("model_info"))
        capabilities: Any = shown.get("capabilities")
        thinking = _mapping(shown.get("thinking")).get("values")
        remote = [str(shown[key]) for key in ("remote_model", "remote_host") if shown.get(key)]
        return cls(
            name,
            capabilities=frozenset(map(str, cast("list[Any]", capabilities)))
            if isinstance(capabilities, list)
            else None,
            window=_number(info.get(f"{info.get('general.architecture')}.context_length")),
            parameters=_number(info.get("general.parameter_count")),
            think_values=tuple(cast("list[Any]", thinking)) if isinstance(thinking, list) else None,
            remote=" at ".join(remote) or None,
        )

    def can(self, capability: str) -> bool | None:
        """Whether the model has the capability, by Ollama's name for it; `None` if the server does not say."""
        return None if self.capabilities is None else capability in self.capabilities

    def known_as(self, server: ServerFacts) -> frozenset[Capability] | None:
        """The capabilities by Tierwise's names."""
        if self.capabilities is None:
            return None
        known: set[Capability] = {_CAPABILITIES[c] for c in self.capabilities if c in _CAPABILITIES}
        if "completion" in self.capabilities:
            if server.constrains_schema:
                known.add("json_schema")
            if server.gives_logprobs and self.remote is None:
                known.add("logprobs")
        return frozenset(known)


def full_name(name: str) -> str:
    """The name with its tag, as the server lists it."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value > 0 else None
