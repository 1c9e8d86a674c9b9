"""The models that the provider knows, apart from what they answer."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from tierwise.testing.provider.script import words

__all__ = ["Catalog", "Embedder", "ModelCard", "hashed_words"]

Embedder: TypeAlias = Callable[[str], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What the provider says about a model.

    Attributes:
        name: The model's name.
        capabilities: As Ollama names them. The Ollama dialect answers 400 to tools or thinking it does not have.
        context_length: The trained context window, in tokens.
        embedding_length: The number of dimensions of an embedding.
        parameters: The number of weights.
        pulled: Whether the model is there. One that is not answers 404 until it is pulled.
        pull_error: Why pulling it fails, inside a 200 stream; `None` if it succeeds.
    """

    name: str
    capabilities: tuple[str, ...] = ("completion", "tools", "thinking")
    context_length: int = 8192
    embedding_length: int = 16
    parameters: int = 135_000_000
    pulled: bool = True
    pull_error: str | None = None


ANY = "*"
"""In place of a name: every model that is not known by its own."""


class Catalog:
    """The known models, which of them are loaded, and how they embed. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cards: dict[str, ModelCard] = {}
        self._loaded: dict[str, int] = {}
        self._embedders: dict[str, Embedder] = {}

    def put(self, card: ModelCard) -> None:
        """Add a model, or replace what is said about it."""
        with self._lock:
            self._cards[card.name] = card

    def known(self, name: str) -> ModelCard | None:
        """The card of a model, pulled or not; `name:latest` is `name`, and `*` stands for every other."""
        card = self.own(name)
        if card is not None or not name:
            return card
        other = self.own(ANY)
        return None if other is None else replace(other, name=name)

    def own(self, name: str) -> ModelCard | None:
        """The card of a model that has one of its own."""
        with self._lock:
            return self._cards.get(name) or self._cards.get(name.removesuffix(":latest"))

    def find(self, name: str) -> ModelCard | None:
        """The card of a model that can answer."""
        card = self.known(name)
        return card if card is not None and card.pulled else None

    def pulled(self) -> list[ModelCard]:
        """The models that can answer, in the order in which they became known."""
        with self._lock:
            return [card for card in self._cards.values() if card.pulled and card.name != ANY]

    def pull(self, card: ModelCard) -> None:
        """Make a model able to answer."""
        self.put(replace(card, pulled=True))

    def load(self, card: ModelCard, context_length: int) -> None:
        """Count a model as loaded with a context window in tokens."""
        with self._lock:
            self._loaded[card.name] = context_length

    def unload(self, card: ModelCard) -> None:
        """Count a model as not loaded."""
        with self._lock:
            self._loaded.pop(card.name, None)

    def loaded(self) -> list[tuple[ModelCard, int]]:
        """The loaded models with their context windows in tokens."""
        with self._lock:
            return [(self._cards[name], size) for name, size in self._loaded.items() if name in self._cards]

    def embed_with(self, name: str, embedder: Embedder) -> None:
        """Set how a model embeds a text."""
        with self._lock:
            self._embedders[name] = embedder

    def embed(self, card: ModelCard, text: str) -> list[float]:
        """Embed a text."""
        with self._lock:
            embedder = self._embedders.get(card.name)
        return list(embedder(text)) if embedder else hashed_words(text, card.embedding_length)

    def clear(self) -> None:
        """Forget all models."""
        with self._lock:
            self._cards.clear()
            self._loaded.clear()
            self._embedders.clear()


def hashed_words(text: str, dimensions: int) -> list[float]:
    """Embed a text as the unit vector of its hashed words, so that texts that share words are near."""
    vector = [0.0] * dimensions
    for word in words(text.lower()) or [""]:
        digest = hashlib.sha256(word.strip().encode("utf-8", errors="replace")).digest()
        vector[int.from_bytes(digest[:4], "big") % dimensions] += 1.0
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector]
