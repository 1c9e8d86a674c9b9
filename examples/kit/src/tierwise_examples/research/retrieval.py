"""Which passages have to do with a question? BM25 over stems, and embeddings beside it where there are some."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from bm25s import BM25  # pyright: ignore[reportMissingTypeStubs] - it has none

from tierwise_examples.research.passages import Passage
from tierwise_examples.research.words import stems

__all__ = ["Embed", "Index", "fused"]

# bm25s tells of each index at the level of debugging, and asks for that level itself.
logging.getLogger("bm25s").setLevel(logging.WARNING)

Embed: TypeAlias = Callable[[Sequence[str]], Sequence[Sequence[float]]]
"""One vector for each text, in their order."""

_RANK_CONSTANT = 60
_DEPTH = 20
"""How many passages each ranking gives to be fused."""


class Index:
    """Finds passages by their words, and by their vectors if there is something that makes them.

    Args:
        passages: What is searched, in the order of their ids.
        embed: Makes vectors of texts; without it words alone decide.
    """

    def __init__(self, passages: Sequence[Passage], embed: Embed | None = None) -> None:
        self._passages = passages
        self._embed = embed
        texts = [f"{passage.about}\n{passage.text}" for passage in passages]
        self._words: Any = BM25()
        self._words.index([stems(text) for text in texts], show_progress=False)
        self._vectors = _units(embed(texts)) if embed is not None else np.empty((0, 0))

    def search(self, queries: Sequence[str], limit: int) -> list[Passage]:
        """The passages that have most to do with the queries, the best first. None that shares no word with any."""
        rankings = [self._by_words(query) for query in queries]
        known = {place for ranking in rankings for place in ranking}
        if self._embed is not None and known:
            rankings += self._by_vectors(self._embed(queries))
        return [self._passages[place] for place in fused(rankings)][:limit]

    def _by_words(self, query: str) -> list[int]:
        known = [word for word in stems(query) if word in self._words.vocab_dict]
        if not known:
            return []
        scores = self._words.get_scores(known)
        best = np.argsort(-scores, kind="stable")[:_DEPTH]
        return [int(place) for place in best if scores[place] > 0]

    def _by_vectors(self, queries: Sequence[Sequence[float]]) -> list[list[int]]:
        nearness = _units(queries) @ self._vectors.T
        return np.argsort(-nearness, axis=1, kind="stable")[:, :_DEPTH].tolist()


def fused(rankings: Sequence[Sequence[int]]) -> list[int]:
    """One ranking of several, by reciprocal rank fusion with the constant 60.

    Each item's score is the sum of 1 / (60 + its rank) over the rankings that hold it (Cormack, Clarke and Buettcher,
    "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009). Of equal scores,
    what came first stays first.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1 / (_RANK_CONSTANT + rank)
    return sorted(scores, key=lambda item: -scores[item])


def _units(vectors: Sequence[Sequence[float]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    found = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.where(lengths == 0, 1, lengths)
