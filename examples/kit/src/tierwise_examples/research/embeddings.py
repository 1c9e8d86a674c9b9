"""Vectors of texts, made by the Ollama that the local models run on."""

from __future__ import annotations

from collections.abc import Sequence

from tierwise_ollama import OllamaBackend

from tierwise_examples.research.retrieval import Embed

__all__ = ["local_embeddings"]


def local_embeddings(model: str, *, url: str | None = None) -> Embed:
    """What makes vectors of texts by a local model.

    Args:
        model: Its id, e.g. `ollama:nomic-embed-text`.
        url: The server; the usual one, or that of `OLLAMA_HOST`, if not given.
    """
    backend = OllamaBackend(url)

    def embed(texts: Sequence[str]) -> list[list[float]]:
        return backend.embed(texts, model)

    return embed
