from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from tierwise.attempt import Attempt, Outcome
from tierwise.context import Context
from tierwise.fleet import Fleet, ModelSpec, Tier
from tierwise.flow import Flow
from tierwise.state import MemoryState
from tierwise.task import Task
from tierwise.verdict import Verdict
from tierwise.verifiers import Verifier


class Judged(NamedTuple):
    verdict: Verdict
    asked: list[Attempt]


class Bench:
    """A ladder of three tiers, and a verifier's flow driven over an answer of one of them with scripted outcomes."""

    def __init__(self) -> None:
        self.fleet = Fleet(
            [
                Tier("small", ModelSpec("x:small", trust="local")),
                Tier("medium", ModelSpec("x:medium", trust="approved")),
                Tier("large", ModelSpec("x:large")),
            ]
        )

    def answer(self, text: str = "", *, task: Task | None = None, tier: str = "small", **fields: Any) -> Outcome:
        model = self.fleet.tier(tier).models[0]
        return Outcome(Attempt(task or Task("q"), model, tier), text=text, **fields)

    def judge(
        self,
        verifier: Verifier,
        outcome: Outcome,
        answers: Callable[[Attempt], Any] = lambda _: "",
        *,
        fleet: Fleet | None = None,
    ) -> Judged:
        task = outcome.attempt.task
        context = Context.of(fleet or self.fleet, task, MemoryState())
        return drive(verifier.flow(task, outcome, context), answers)


def drive(flow: Flow[Verdict], answers: Callable[[Attempt], Any]) -> Judged:
    asked: list[Attempt] = []
    try:
        step = next(flow)
        while True:
            attempts = [item for item in step if isinstance(item, Attempt)]
            asked += attempts
            step = flow.send(tuple(outcome(a, answers(a)) for a in attempts))
    except StopIteration as stop:
        return Judged(stop.value, asked)


def outcome(attempt: Attempt, answer: Any) -> Outcome:
    if isinstance(answer, Outcome):
        return answer
    if isinstance(answer, BaseException):
        return Outcome(attempt, error=answer)
    return Outcome(attempt, text=answer) if isinstance(answer, str) else Outcome(attempt, value=answer)


@pytest.fixture
def bench() -> Bench:
    return Bench()
