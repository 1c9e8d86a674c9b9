from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from tierwise.attempt import Attempt, Outcome
from tierwise.context import Context, Decision
from tierwise.errors import UnavailableError
from tierwise.fleet import Fleet, ModelSpec, Tier
from tierwise.flow import Flow, Judged, Note, Stated
from tierwise.state import MemoryState
from tierwise.strategies import Strategy
from tierwise.task import Task

Answer = Callable[[Attempt], Any]


@dataclass
class Ran:
    """What came of a flow, and what it asked for on the way."""

    outcome: Outcome = field(init=False)
    batches: list[tuple[Attempt, ...]] = field(default_factory=list[tuple[Attempt, ...]])
    notes: list[Note] = field(default_factory=list[Note])

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for batch in self.batches for attempt in batch]

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Purpose and model's name of each call."""
        return [(a.purpose, a.model.name) for a in self.attempts]

    @property
    def stated(self) -> str:
        return "\n".join(n.text for n in self.notes if isinstance(n, Stated))

    def verdicts(self, name: str) -> list[str]:
        """What was noted of a model's answers."""
        return [n.verdict.result for n in self.notes if isinstance(n, Judged) and n.outcome.attempt.model.name == name]


class Bench:
    """A ladder of three tiers and a specialist; strategies are driven over it with scripted outcomes."""

    fleet = Fleet(
        [
            Tier("small", [ModelSpec("x:small", trust="local"), ModelSpec("x:spare", trust="local")]),
            Tier("medium", ModelSpec("x:medium", trust="approved")),
            Tier("large", ModelSpec("x:large")),
        ],
        specialists={"code": ModelSpec("x:coder", trust="local")},
    )

    def context(self, task: Task, start: str | None = None) -> Context:
        context = Context.of(self.fleet, task, MemoryState())
        return context if start is None else context.starting(Decision(start, rule="test", reason="said the test"))

    def run(
        self,
        strategy: Strategy,
        answers: Answer | Mapping[str, Any] | str,
        task: Task | str = "q",
        *,
        start: str | None = None,
        into: Ran | None = None,
    ) -> Ran:
        """Drives a strategy: answers are texts, fields of an `Outcome`, errors, or lists; the last repeats."""
        asked = task if isinstance(task, Task) else Task(task)
        return drive(strategy.flow(asked, self.context(asked, start)), scripted(answers), into)


def scripted(answers: Answer | Mapping[str, Any] | str) -> Answer:
    if callable(answers):
        return answers
    if isinstance(answers, str):
        return lambda _: answers
    left: dict[str, deque[Any]] = {n: deque(v if isinstance(v, list) else [v]) for n, v in answers.items()}  # pyright: ignore[reportUnknownArgumentType]

    def answer(attempt: Attempt) -> Any:
        script = left[attempt.model.name]
        return script.popleft() if len(script) > 1 else script[0]

    return answer


def outcome(attempt: Attempt, answer: Any) -> Outcome:
    if isinstance(answer, BaseException):
        return Outcome(attempt, error=answer)
    if isinstance(answer, str):
        return Outcome(attempt, text=answer)
    fields: dict[str, Any] = answer
    return Outcome(attempt, **fields)


def drive(flow: Flow[Outcome], answer: Answer, into: Ran | None = None) -> Ran:
    ran = into or Ran()
    sent: Sequence[Outcome] = ()
    try:
        step = next(flow)
        while True:
            ran.notes += [item for item in step if not isinstance(item, Attempt)]
            batch = tuple(item for item in step if isinstance(item, Attempt))
            if batch:
                ran.batches.append(batch)
            sent = tuple(outcome(a, answer(a)) for a in batch)
            step = flow.send(tuple(sent))
    except StopIteration as stop:
        ran.outcome = stop.value
        return ran


def yes(outcome: Outcome) -> bool:
    return True


def no(outcome: Outcome) -> bool:
    return False


DOWN = UnavailableError("down", status=503)


@pytest.fixture
def bench() -> Bench:
    return Bench()
