"""Real small models behind Ollama's API, for machines that have no Ollama."""

from tierwise_embedded.errors import (
    EmbeddedError,
    EngineError,
    HashMismatchError,
    ServerStartError,
    WeightsError,
)
from tierwise_embedded.models import DEFAULT_MODELS, MODELS, EmbeddedModel
from tierwise_embedded.process import SpawnedServer, spawn
from tierwise_embedded.server import EmbeddedServer
from tierwise_embedded.weights import fetch, locate

__all__ = [
    "EmbeddedServer",
    "SpawnedServer",
    "spawn",
    "MODELS",
    "DEFAULT_MODELS",
    "EmbeddedModel",
    "fetch",
    "locate",
    "EmbeddedError",
    "EngineError",
    "HashMismatchError",
    "ServerStartError",
    "WeightsError",
]
