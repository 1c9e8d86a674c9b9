"""What all suites of states have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tierwise.ids import new_id
from tierwise.state import (
    Claim,
    Denied,
    State,
)

__all__ = ["LEASE", "StateSuite", "Wait", "key", "refused", "reserve", "reserved"]

Wait = Callable[[float], None]

LEASE = 600.0
"""Seconds, longer than a test takes."""


def reserve(state: State, *claims: Claim, lease: float = LEASE, least: int = 0, most: int = 0) -> str | Denied:
    """Reserves for a new call; gives its id, or why not."""
    call_id = new_id()
    said = state.reserve(call_id, claims, lease=lease, least=least, most=most)
    return said if isinstance(said, Denied) else call_id


def reserved(state: State, *claims: Claim, lease: float = LEASE) -> str:
    """Reserves for a new call, which must be granted; gives its id."""
    said = reserve(state, *claims, lease=lease)
    assert isinstance(said, str), said
    return said


def refused(state: State, *claims: Claim) -> Denied:
    """Tries to reserve for a new call, which must be denied."""
    said = reserve(state, *claims)
    assert isinstance(said, Denied), said
    return said


def key() -> str:
    """A key that no other test uses."""
    return f"key {new_id()}"


class StateSuite:
    """Tests of a state. A subclass gives the fixture `state`, and `passes` where its clock can be set."""

    @pytest.fixture
    def state(self) -> Any:
        """The state under test."""
        raise NotImplementedError

    @pytest.fixture
    def passes(self) -> Wait:
        """Lets seconds pass on the state's clock; by default they really do, so tests ask for few."""
        return time.sleep
