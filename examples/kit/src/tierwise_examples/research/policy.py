"""Who does which step of a research agent: one policy and one strategy for every framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tierwise import Always, Cascade, Router, Rule
from tierwise.verifiers import VerifierLike, free_verifier

from tierwise_examples.ladders import Ladder

__all__ = ["JOBS", "MOST_CALLS", "routed"]

MOST_CALLS = 6
"""How many calls one inquiry may make, whatever goes wrong."""

JOBS: Mapping[str, int] = {"rewrite": 60, "filter": 40, "answer": 120, "check": 20}
"""The steps that call a model, and the longest answer of each, in tokens."""


def routed(ladder: Ladder, evidence: VerifierLike) -> Router:
    """A router whose small tier searches and checks, and whose code tier or a higher one answers.

    Who tries first stands on the step alone: nothing that a question or a document says has a part in it.

    Args:
        ladder: The models.
        evidence: Judges what the steps gave, beside its shape.
    """
    return Router(
        ladder.fleet(),
        policy=Rule(job="answer", tier=ladder.at("code")) | Always(ladder.at("small")),
        strategy=Cascade(free_verifier() & evidence),
        max_calls=MOST_CALLS,
    )


def fields(job: str, session: str) -> dict[str, Any]:
    """What a step's task says beside its prompt."""
    return {"job": job, "session": session, "max_output_tokens": JOBS[job]}
