"""Suites that backends, adapters and states pass. They need pytest and pytest-asyncio: `tierwise[testing]`."""

from tierwise.testing.conformance.adapter import AdapterConformance, AdapterHarness, Answer, Question, Way
from tierwise.testing.conformance.backend import BackendConformance
from tierwise.testing.conformance.state import StateConformance

__all__ = [
    "AdapterConformance",
    "AdapterHarness",
    "Answer",
    "BackendConformance",
    "Question",
    "StateConformance",
    "Way",
]
