"""Calls that are no model's: a test run, a slow check. They run where calls run, away from the flow's own thread."""

from __future__ import annotations

from tierwise.attempt import Attempt, Outcome
from tierwise.backends.base import Backend
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE, Price
from tierwise.task import Trust

__all__ = ["WorkBackend"]


class WorkBackend(Backend):
    """Does an attempt's `work`. An error in it is a defect of the check, and propagates."""

    def call(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        assert attempt.work is not None  # noqa: S101 - `Run` sends only such attempts here
        return Outcome(attempt, value=attempt.work())

    def is_failure(self, error: Exception) -> bool:
        """See `Backend`."""
        return False

    def trust(self, model: ModelSpec) -> Trust | None:
        """See `Backend`."""
        return "local"

    def price(self, model: ModelSpec) -> Price | None:
        """See `Backend`."""
        return FREE
