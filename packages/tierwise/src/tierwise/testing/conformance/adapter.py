"""What every adapter has to do, over real HTTP.

Write an `AdapterHarness` that drives the framework's entry point, subclass `AdapterConformance` in a test file, and set
its `harness` to one.
"""

from __future__ import annotations

from tierwise.testing.conformance.answers import Answers
from tierwise.testing.conformance.escalation import Escalation
from tierwise.testing.conformance.failures import Failures
from tierwise.testing.conformance.harness import AdapterHarness, Answer, Question, Way
from tierwise.testing.conformance.sharing import Sharing
from tierwise.testing.conformance.steps import Steps

__all__ = ["AdapterConformance", "AdapterHarness", "Answer", "Question", "Way"]


class AdapterConformance(Answers, Escalation, Failures, Steps, Sharing):
    """The suite: every way that the framework has gives the same answer, for the same calls, and shows nothing else."""
