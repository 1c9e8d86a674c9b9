"""Can a model be reached, and if not, why? The Ollama is asked; of cloud providers, only the key is looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tierwise.backends.registry import Backends
from tierwise.config import Config
from tierwise.errors import MissingExtraError
from tierwise.fleet.discovery import KEYS, discover
from tierwise.fleet.model import ModelSpec

__all__ = ["Reach"]


@dataclass(frozen=True, slots=True)
class Reach:
    """What can be reached."""

    local: Mapping[str, ModelSpec]
    """The models that the Ollama has, by its own full names."""
    problem: str | None
    """Why the Ollama cannot be asked."""

    @classmethod
    def of(cls, config: Config) -> Reach:
        """Asks the Ollama that the settings name, if they name a model of one."""
        if not any(m.provider == "ollama" for m in config.fleet.models):
            return cls({}, None)
        found = discover(ollama_host=config.backends.get("ollama", {}).get("host"), environ={})
        local = {_full(m.spec.name): m.spec for m in found.local}
        return cls(local, None if local else next(iter(found.problems), None))

    def why_not(self, model: ModelSpec) -> str | None:
        """Why the model cannot be reached; `None` if nothing is known to be in the way."""
        try:
            Backends().get(model)
        except MissingExtraError as error:
            return str(error)
        if model.provider == "ollama":
            if self.problem is not None:
                return self.problem
            return None if _full(model.name) in self.local else f"not pulled: ollama pull {model.name}"
        names = KEYS.get(model.provider, ())
        if names and not any(os.environ.get(name) for name in names):
            return f"{' or '.join(names)} is not set"
        return None

    def filled_in(self, model: ModelSpec) -> ModelSpec:
        """The model with the window and the capabilities that its server tells, where the settings say nothing."""
        known = self.local.get(_full(model.name)) if model.provider == "ollama" else None
        if known is None:
            return model
        return replace(
            model, window=model.window or known.window, capabilities=model.capabilities or known.capabilities
        )


def _full(name: str) -> str:
    """A name with its tag, as the server lists it."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
