"""Of a passage, the sentences that matter for a question."""

from __future__ import annotations

from tierwise_examples.research.passages import Passage
from tierwise_examples.research.words import content, figures

__all__ = ["pruned"]


def pruned(passage: Passage, question: str, most: int) -> Passage:
    """The passage with the sentences that share most words with the question, in their order.

    Of sentences that share as many, those with a number go first: answers often are one.

    Args:
        passage: Some sentences.
        question: What is asked.
        most: How many sentences stay.
    """
    asked = content(question)
    ranked = sorted(
        passage.sentences, key=lambda s: (len(content(s.text) & asked), bool(figures(s.text))), reverse=True
    )
    kept = ranked[:most]
    return passage.only(sentence for sentence in passage.sentences if sentence in kept)
