from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from tierwise.attempt import Attempt, Outcome
from tierwise.context import Context, Decision
from tierwise.fleet import Fleet, Tier
from tierwise.policies import Policy
from tierwise.state import MemoryState
from tierwise.task import Task


class Decided(NamedTuple):
    decision: Decision | None
    asked: list[Attempt]


class Bench:
    """A ladder of three tiers and a specialist, and a policy asked about a task, with scripted outcomes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.state = MemoryState(clock=lambda: self.now)
        self.fleet = Fleet(
            [Tier("small", "x:small"), Tier("medium", "x:medium"), Tier("large", "x:large")],
            specialists=[Tier("long", "x:long")],
        )

    def context(self, task: Task, fleet: Fleet | None = None) -> Context:
        return Context.of(fleet or self.fleet, task, self.state)

    def decide(self, policy: Policy, task: Task | str, *, fleet: Fleet | None = None) -> Decision | None:
        asked = Task.of(task)
        return policy.decide(asked, self.context(asked, fleet))

    def tier(self, policy: Policy, task: Task | str, *, fleet: Fleet | None = None) -> str | None:
        decision = self.decide(policy, task, fleet=fleet)
        return None if decision is None else decision.tier

    def run(
        self,
        policy: Policy,
        task: Task | str,
        answers: Callable[[Attempt], Any] | None = None,
        *,
        fleet: Fleet | None = None,
    ) -> Decided:
        given, asked = Task.of(task), list[Attempt]()
        flow = policy.flow(given, self.context(given, fleet))
        try:
            step = next(flow)
            while True:
                attempts = [item for item in step if isinstance(item, Attempt)]
                asked += attempts
                assert answers is not None, "nothing was to be asked"
                step = flow.send(tuple(outcome(a, answers(a)) for a in attempts))
        except StopIteration as stop:
            return Decided(stop.value, asked)


def outcome(attempt: Attempt, answer: Any) -> Outcome:
    if isinstance(answer, BaseException):
        return Outcome(attempt, error=answer)
    return Outcome(attempt, text=answer)


@pytest.fixture
def bench() -> Bench:
    return Bench()
