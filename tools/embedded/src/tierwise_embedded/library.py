"""The models a server offers: the ones it was started with and the ones pulled since."""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tierwise_embedded.errors import ApiError
from tierwise_embedded.models import MODELS, EmbeddedModel, resolve_name
from tierwise_embedded.responses import now, timestamp
from tierwise_embedded.weights import locate

__all__ = ["Library", "details", "describe", "modified_at"]


class Library:
    """The offered models, by name."""

    def __init__(self, names: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._names = {resolve_name(name): None for name in names}

    def models(self) -> list[EmbeddedModel]:
        """Return the offered models, in the catalogue's order."""
        with self._lock:
            return [model for name, model in MODELS.items() if name in self._names]

    def add(self, model: EmbeddedModel) -> None:
        """Offer one more model."""
        with self._lock:
            self._names[model.name] = None

    def find(self, name: str) -> EmbeddedModel | None:
        """Return the offered model of that name."""
        full = resolve_name(name)
        return next((model for model in self.models() if model.name == full), None)

    def require(self, name: object, missing: str = "model '{}' not found") -> EmbeddedModel:
        """Return the offered model of that name.

        Raises:
            ApiError: 400 without a name, 404 with the route's own wording when it is not offered.
        """
        if not isinstance(name, str) or not name:
            raise ApiError(400, "model is required")
        model = self.find(name)
        if model is None:
            raise ApiError(404, missing.format(name))
        return model


def details(model: EmbeddedModel) -> dict[str, Any]:
    """Return a model's `details`, as every route gives them."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameter_size,
        "quantization_level": model.quantization,
    }


def modified_at(model: EmbeddedModel) -> str:
    """Return when a model's file was written."""
    path = locate(model)
    return now() if path is None else timestamp(datetime.fromtimestamp(path.stat().st_mtime, UTC))


def describe(model: EmbeddedModel) -> dict[str, Any]:
    """Return a model's entry in `/api/tags`."""
    lengths = {"context_length": model.context_length, "embedding_length": model.embedding_length}
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": modified_at(model),
        "size": model.size,
        "digest": model.sha256,
        "details": {**details(model), **lengths},
        "capabilities": model.capabilities,
    }
