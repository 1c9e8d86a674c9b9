"""A strategy is closed wherever it stands, and nothing is left behind."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from typing import Any

import pytest
from tierwise import Agreement, Cascade, Judge, Router, Single, Task
from tierwise.attempt import Attempt, Outcome
from tierwise.context import Context
from tierwise.errors import AllModelsFailedError, RejectedError
from tierwise.state import MemoryState
from tierwise.strategies import BestOf, Observe, Perspectives, Sandwich, Specialists, Strategy, Vote, act_only
from tierwise.testing.provider import Reply
from tierwise.testing.provider.script import Request

from .scene import Scene

TIERS = ("small", "medium", "large")
STRATEGIES: dict[str, Strategy] = {
    "single": Single(),
    "cascade": Cascade(),
    "cascade with a judge": Cascade(Judge()),
    "cascade with agreement": Cascade(Agreement(3, normalise=str)),
    "cascade with a gate": Cascade(gate=act_only()),
    "vote": Vote(["small", "medium", "large"]),
    "best of": BestOf(3),
    "perspectives": Perspectives(["small", "medium", "large"]),
    "sandwich": Sandwich(plan="large", execute="small", validate="medium"),
    "specialists": Specialists("small", {"easy": "small", "hard": "large"}),
    "observe": Observe(),
    "cascade of votes": Cascade(each=Vote(["small", "small", "small"])),
    "vote of cascades": Vote([Cascade(), Cascade(), "large"]),
}


def answer(request: Request) -> Reply:
    properties: dict[str, Any] = (request.schema or {}).get("properties", {})
    if "score" in properties:
        return Reply(json={"reason": "weak", "score": 2})
    if "label" in properties:
        return Reply(json={"label": properties["label"]["enum"][0]})
    return Reply(text=f"The answer of {request.model} is long enough to come in several pieces.")


def scripted(attempt: Attempt, *, fails: bool) -> Outcome:
    if fails:
        return Outcome(attempt, error=OSError("down"))
    schema: Any = attempt.task.output_schema
    label = "label" in str(schema)
    said = '{"label": "easy"}' if label else '{"reason": "weak", "score": 2}' if schema else "An answer."
    return Outcome(attempt, text=said)


@pytest.mark.parametrize("fails", [False, True], ids=["answers", "failures"])
@pytest.mark.parametrize("error", [GeneratorExit, ZeroDivisionError, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("name", STRATEGIES)
def test_fault_47_a_strategy_can_be_closed_at_every_step(
    scene: Scene, name: str, error: type[BaseException], fails: bool
) -> None:
    fleet = scene.fleet(*TIERS)
    task = Task("What is it?")
    steps = 0
    while True:
        context = Context.of(fleet, task, MemoryState())
        flow = STRATEGIES[name].flow(task, context)
        try:
            step = next(flow)
            for _ in range(steps):
                step = flow.send(tuple(scripted(a, fails=fails) for a in step if isinstance(a, Attempt)))
        except (StopIteration, AllModelsFailedError):
            break
        if error is GeneratorExit:
            flow.close()
        else:
            with pytest.raises(error):
                flow.throw(error())
        assert inspect.getgeneratorstate(flow) == inspect.GEN_CLOSED
        steps += 1
    assert steps > 0


@pytest.mark.parametrize("name", STRATEGIES)
def test_fault_47_a_consumer_may_leave_after_any_chunk(scene: Scene, name: str) -> None:
    for model in TIERS:
        scene.provider.on(model, answer)
    router = scene.router(*TIERS, strategy=STRATEGIES[name])
    for most in (0, 1, 3):
        with suppress(AllModelsFailedError, RejectedError), router.stream("q") as stream:
            for count, _ in enumerate(stream, 1):
                if count >= most:
                    break
        scene.provider.wait_idle()
        assert scene.state.held == 0
        assert {row.state for row in stream.receipt.rows} <= {"settled"}


@pytest.mark.parametrize("name", STRATEGIES)
async def test_fault_47_a_task_may_be_cancelled_at_any_call(scene: Scene, name: str) -> None:
    for model in TIERS:
        scene.provider.on(model, answer)
    router = scene.router(*TIERS, strategy=STRATEGIES[name])
    with suppress(RejectedError):
        await router.arun("q")
    scene.cancelled = True
    for nth in range(1, scene.provider.count() + 1):
        await cancelled_at(scene, router, nth)


async def cancelled_at(scene: Scene, router: Router, nth: int) -> None:
    """Cancels a run while its nth call is under way."""
    before = scene.provider.count()

    def stalling(request: Request) -> Reply:
        return Reply(stall=True) if scene.provider.count() - before >= nth else answer(request)

    for model in TIERS:
        scene.provider.on(model, stalling)
    running = asyncio.create_task(router.arun("q"))
    await asyncio.to_thread(
        scene.provider.wait_until, lambda: scene.provider.count() - before >= nth and scene.provider.open_calls > 0
    )
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(scene.provider.wait_idle)
    assert scene.state.held == 0
