"""What judges an answer if the user does not say."""

from __future__ import annotations

from tierwise.verifiers.base import Verifier
from tierwise.verifiers.output import ValidOutput, ValidToolCalls
from tierwise.verifiers.plain import NotEmpty, NotRefusal

__all__ = ["default_verifier", "free_verifier"]


def free_verifier() -> Verifier:
    """What costs nothing: shape, emptiness, refusal."""
    return ValidOutput() & ValidToolCalls() & NotEmpty() & NotRefusal()


def default_verifier() -> Verifier:
    """Shape, emptiness, refusal; and for prose a judge on the next higher tier."""
    from tierwise.verifiers.judge import Judge

    return free_verifier() & Judge()
