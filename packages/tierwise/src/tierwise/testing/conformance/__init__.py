"""Suites that every backend and every adapter passes. They need pytest and pytest-asyncio: `tierwise[testing]`."""

from tierwise.testing.conformance.adapter import AdapterConformance, AdapterHarness, Answer, Question, Way
from tierwise.testing.conformance.backend import BackendConformance

__all__ = ["AdapterConformance", "AdapterHarness", "Answer", "BackendConformance", "Question", "Way"]
