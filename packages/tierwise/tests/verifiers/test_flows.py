from __future__ import annotations

import sys
from typing import Any

import pytest
from tierwise.attempt import Attempt
from tierwise.context import Context
from tierwise.state import MemoryState
from tierwise.verifiers import Agreement, Check, Judge, Verifier


@pytest.mark.parametrize(
    "verifier",
    [Judge(), Agreement(), Agreement(with_="large"), Check([sys.executable]), Judge() & (Agreement() | Check(bool))],
)
def test_a_verifier_can_be_left_wherever_it_waits(bench: Any, verifier: Verifier) -> None:
    outcome = bench.answer("42")
    flow = verifier.flow(outcome.attempt.task, outcome, Context.of(bench.fleet, outcome.attempt.task, MemoryState()))
    assert all(isinstance(item, Attempt) for item in next(flow))
    flow.close()
    with pytest.raises(StopIteration):
        next(flow)
