"""A router over scripted models, and the four ways to drive it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest
from tierwise import Fleet, ModelSpec, Router, Task, Tier, ToolCall, answering
from tierwise.attempt import Attempt, Chunk, GateAnswer, Outcome, Prefix
from tierwise.errors import (
    LimitError,
    RunError,
    TierwiseError,
    UnavailableError,
)
from tierwise.flow import Flow, call
from tierwise.ledger.rows import Row
from tierwise.limits import Call, Limit
from tierwise.run import Run
from tierwise.state import Claim, MemoryState, Slot, Taken
from tierwise.strategies import (
    Single,
    Strategy,
)
from tierwise.testing import ScriptedBackend, Step

DOWN = UnavailableError("down", status=503)
FLEET = Fleet(
    [
        Tier("small", [ModelSpec("x:small", trust="local"), ModelSpec("x:spare", trust="local")]),
        Tier("medium", ModelSpec("x:medium")),
        Tier("large", ModelSpec("x:large")),
    ],
    specialists={"code": ModelSpec("x:coder")},
)


class Reservation:
    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        self.settled: list[Outcome] = []


class Counting(Limit):
    """A limit that refuses the models it is told to, and counts what it gave."""

    def __init__(self, *refused: str, name: str = "test") -> None:
        self.name = name
        self.refused = refused
        self.given: list[Reservation] = []

    def claims(self, call: Call) -> Sequence[Claim]:
        if call.attempt.model.name in self.refused:
            raise LimitError(f"{call.attempt.model.name} is over its limit", limit="test")
        self.given.append(Reservation(call.call_id))
        return [Slot(self.name, size=1_000)]

    def taken(self, claim: Claim, outcome: Outcome, call: Call) -> Taken:
        (given,) = (r for r in self.given if r.call_id == call.call_id)
        given.settled.append(outcome)
        return None

    def is_balanced(self) -> bool:
        return all(len(r.settled) == 1 for r in self.given)


def nothing_is_held(made: Router) -> bool:
    """True if the router's state has no reservation left, of whatever kind."""
    state = made.state
    assert isinstance(state, MemoryState)
    return state.held == 0


def router(backend: ScriptedBackend, strategy: Strategy | None = None, **options: Any) -> Router:
    return Router(FLEET, strategy=strategy or Single(), backends={"x": backend}, **options)


class Stopwatch:
    """The clock of runs. It stands still until a call is made: a short deadline passes in the call, on any machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._began: float | None = None
        monkeypatch.setattr(answering, "Run", partial(Run, clock=self))

    def __call__(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def start(self) -> None:
        self._began = time.monotonic()

    def reset(self) -> None:
        self._began = None

    def starts(self, step: Step) -> Callable[[Attempt], Step]:
        """A step of a script with which the clock starts."""

        def started(_: Attempt) -> Step:
            self.start()
            return step

        return started


async def until(condition: Callable[[], bool]) -> None:
    """Lets the event loop's other tasks go on until it holds."""
    async with asyncio.timeout(60):
        for _ in iter(condition, True):
            await asyncio.sleep(0)


class Got(NamedTuple):
    """What came of a run, as a user sees it."""

    answer: tuple[str, tuple[ToolCall, ...], str, str] | None
    error: BaseException | None
    shown: list[Chunk]
    rows: Sequence[Row]

    @property
    def text(self) -> str:
        return "".join(c.text for c in self.shown)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(replace(c, id="") for chunk in self.shown for c in chunk.tool_calls)

    @property
    def record(self) -> list[tuple[Any, ...]]:
        return [(r.purpose, r.model, r.tier, r.state, r.verdict, r.error_type, r.reason) for r in self.rows]

    @property
    def outcome(self) -> Any:
        return self.answer if self.error is None else (type(self.error), str(self.error))


def answered(reply: Any) -> tuple[str, tuple[ToolCall, ...], str, str]:
    calls = tuple(replace(c, id="") for c in reply.tool_calls)  # a repaired call gets an id of its own
    return reply.text, calls, reply.status, reply.tier


def by_run(made: Router, task: Task) -> Got:
    try:
        reply = made.run(task)
    except TierwiseError as error:
        return Got(None, error, [], error.attempts if isinstance(error, RunError) else ())
    return Got(answered(reply), None, [], reply.attempts)


def by_arun(made: Router, task: Task) -> Got:
    async def main() -> Got:
        try:
            reply = await made.arun(task)
        except TierwiseError as error:
            return Got(None, error, [], error.attempts if isinstance(error, RunError) else ())
        return Got(answered(reply), None, [], reply.attempts)

    return asyncio.run(main())


def by_stream(made: Router, task: Task) -> Got:
    shown: list[Chunk] = []
    try:
        with made.stream(task) as stream:
            shown.extend(stream)
    except TierwiseError as error:
        return Got(None, error, shown, error.attempts if isinstance(error, RunError) else ())
    return Got(answered(stream.reply), None, shown, stream.reply.attempts)


def by_astream(made: Router, task: Task) -> Got:
    async def main() -> Got:
        shown: list[Chunk] = []
        try:
            async with made.astream(task) as stream:
                async for chunk in stream:
                    shown.append(chunk)
        except TierwiseError as error:
            return Got(None, error, shown, error.attempts if isinstance(error, RunError) else ())
        return Got(answered(stream.reply), None, shown, stream.reply.attempts)

    return asyncio.run(main())


Driver = Callable[[Router, Task], Got]
DRIVERS: list[Driver] = [by_run, by_arun, by_stream, by_astream]
every_driver = pytest.mark.parametrize("drive", DRIVERS)
every_stream = pytest.mark.parametrize("drive", [by_stream, by_astream])


def sure(outcome: Outcome) -> bool | None:
    return {"good": True, "bad": False}.get(outcome.text.partition(" ")[0])


def gate(prefix: Prefix) -> GateAnswer:
    word = prefix.text.partition(" ")[0]
    if len(prefix.text) == len(word) and not prefix.done:
        return "undecided"
    answers: dict[str, GateAnswer] = {"good": "commit", "bad": "abort"}
    return answers.get(word, "undecided")


class Stop(BaseException):
    """A framework's control flow, or Ctrl-C."""


class ReturnsFailure(Strategy):
    def flow(self, task: Task, context: Any) -> Flow[Outcome]:
        return (yield from call(Attempt(task, FLEET.find("x:small"))))
