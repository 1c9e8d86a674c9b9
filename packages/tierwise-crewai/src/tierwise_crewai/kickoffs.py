"""Where in a kickoff a call stands, and which runs a kickoff's result came of."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from crewai import Crew
from crewai.context import get_current_task_id

# What is under way, outermost first: CrewAI's public functions tell the innermost alone.
from crewai.events.event_context import _event_id_stack
from crewai.hooks.contexts import ExecutionEndContext
from crewai.hooks.dispatch import InterceptionPoint, get_global_hook_list
from crewai.utilities.planning_handler import PlannerTaskPydanticOutput
from crewai.utilities.planning_types import StepObservation
from tierwise import Receipt, Router
from tierwise.errors import ConfigError, RunError
from tierwise.ledger import Ledger

__all__ = ["Place", "Running", "listen", "place_of", "ran", "receipt_of"]

Stack: TypeAlias = "Sequence[tuple[str, str]]"
"""What is under way, outermost first: the id and the kind of the event that began it."""

_PLANS: tuple[Any, ...] = (PlannerTaskPydanticOutput, StepObservation)
"""What CrewAI asks for where it plans: the plan of a crew, and the planner's look at a step."""

_MAX_OPEN = 1_000
"""Kickoffs whose end never came, and tasks, are forgotten beyond that many."""


class Place(NamedTuple):
    """Where a call stands."""

    session: str | None
    """The innermost kickoff: a crew's, an agent's own, or a flow's. None for a call that nothing kicked off."""
    node: str | None
    """The name of the crew's task, or `task 2`, whoever works on it."""
    role: str | None
    job: str | None
    """`plan` where CrewAI itself says that the call plans."""
    kickoffs: tuple[str, ...] = ()
    """All kickoffs that the call is part of, outermost first."""


def place_of(from_agent: Any, from_task: Any, response_model: Any, *, acted: bool) -> Place:
    """Where a call stands, by CrewAI's own signals.

    Args:
        from_agent: The agent that calls, if one says so.
        from_task: The task that it works on.
        response_model: What the answer has to be.
        acted: There is a tool's result in the conversation.
    """
    stack, task_id = _event_id_stack.get(), get_current_task_id()
    kickoffs = tuple(_kickoffs(stack)) if stack else ()
    crew = getattr(from_agent, "crew", None)
    crew = crew if isinstance(crew, Crew) else None
    asked = (response_model, getattr(from_task, "output_pydantic", None))
    planning = _under_way(stack) == "agent_reasoning_started" or any(plan in asked for plan in _PLANS)
    # A manager's first word is how it hands out the work; what follows its coworkers' answers is another matter.
    planning = planning or (crew is not None and crew.manager_agent is from_agent and not acted)
    place = Place(
        kickoffs[-1] if kickoffs else None,
        _node(crew, task_id, from_task),
        getattr(from_agent, "role", None),
        "plan" if planning else None,
        kickoffs,
    )
    return place if task_id is None else _WORKERS.placed(task_id, place, named=from_agent is not None)


def _under_way(stack: Stack) -> str:
    """What the call belongs to: its own event may have begun already."""
    return next((kind for _, kind in reversed(stack) if kind != "llm_call_started"), "")


def _kickoffs(stack: Stack) -> Iterator[str]:
    before = ""
    for event_id, kind in stack:
        # CrewAI runs every agent as a flow too: that one is no kickoff of its own.
        own_flow = kind == "flow_started" and not before.endswith("agent_execution_started")
        if own_flow or kind in ("crew_kickoff_started", "lite_agent_execution_started"):
            yield event_id
        before = kind


def _node(crew: Crew | None, task_id: str | None, from_task: Any) -> str | None:
    for place, task in enumerate(crew.tasks if crew is not None else (), 1):
        if str(task.id) == task_id:
            return task.name or f"task {place}"
    return getattr(from_task, "name", None)


class _Workers:
    """Who works on each crew's task: CrewAI converts an agent's answer, and asks for its last word, without a name."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._lock = threading.Lock()

    def placed(self, task_id: str, place: Place, *, named: bool) -> Place:
        with self._lock:
            last = self._places.pop(task_id, place)
            self._places[task_id] = place if named else last
            if len(self._places) > _MAX_OPEN:
                del self._places[next(iter(self._places))]
        return place if named else place._replace(role=last.role, node=last.node)


_WORKERS = _Workers()


_Run: TypeAlias = "tuple[str, Ledger]"
"""A run's id, and the ledger that it is written in: crews may have several routers."""


class _Journal:
    """Which runs each kickoff made: while it is under way by its id, then by what came of it."""

    def __init__(self) -> None:
        self._open: dict[str, list[_Run]] = {}
        self._made: dict[int, tuple[_Run, ...]] = {}
        self._lock = threading.Lock()

    def ran(self, kickoffs: Iterable[str], run: _Run) -> None:
        with self._lock:
            for kickoff in kickoffs:
                self._open.setdefault(kickoff, []).append(run)
            while len(self._open) > _MAX_OPEN:
                del self._open[next(iter(self._open))]

    def ended(self, kickoff: str, results: Iterable[Any]) -> None:
        with self._lock:
            runs = tuple(self._open.pop(kickoff, ()))
            for result in results:
                key = id(result)
                if key not in self._made:
                    weakref.finalize(result, self._made.pop, key, None).atexit = False
                self._made[key] = runs

    def runs(self, result: Any) -> tuple[_Run, ...] | None:
        with self._lock:
            return self._made.get(id(result))


_JOURNAL = _Journal()


def ran(place: Place, run_id: str, router: Router) -> None:
    """Writes down that the kickoffs which a call is part of made a run."""
    if place.kickoffs:
        _JOURNAL.ran(place.kickoffs, (run_id, router.ledger))


class Running:
    """Within it a run is under way; one that fails is written down too.

    Args:
        place: Where the call stands.
        router: Whose run it is.
    """

    __slots__ = ("_place", "_router")

    def __init__(self, place: Place, router: Router) -> None:
        self._place = place
        self._router = router

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, RunError) and error.attempts:
            ran(self._place, error.run_id, self._router)


def listen() -> None:
    """Makes sure that the end of each kickoff is heard, also after someone has cleared CrewAI's hooks."""
    hooks = get_global_hook_list(InterceptionPoint.EXECUTION_END)
    if _ended not in hooks:
        hooks.append(_ended)


def _ended(context: ExecutionEndContext) -> None:
    if context.crew is not None:
        results = [context.crew] if context.output is None else [context.crew, context.output]
        _JOURNAL.ended(context.crew._kickoff_event_id, results)
        return
    stack = list(_event_id_stack.get())
    agent = getattr(context.flow, "agent", None)
    if agent is not None and stack:
        stack.pop()
    if stack and stack[-1][0] in set(_kickoffs(stack)):
        _JOURNAL.ended(stack[-1][0], [context.flow if agent is None else agent])


def receipt_of(router: Router, *results: Any) -> Receipt:
    """The receipt of what a kickoff gave back: every call in it that the router made, failed ones too.

    Args:
        router: The router, or another over the same ledger.
        *results: A `CrewOutput` (several, for one bill over several kickoffs), what was kicked off last (a crew, a
            flow, or an agent that runs by itself), or the error of a call. The object itself is asked for, no copy.

    Raises:
        ConfigError: It is no such result of this process, or the router made no call in it.
        LedgerError: The router's ledger does not have the calls any more.
    """
    runs: list[str] = []
    for result in results:
        if isinstance(result, RunError):
            runs.append(result.run_id)
            continue
        made = _JOURNAL.runs(result)
        mine = [run_id for run_id, ledger in made or () if ledger is router.ledger]
        if not mine:
            why = "no call was routed by this router in it" if made is not None else "it came of no kickoff here"
            raise ConfigError(
                f"no receipt for this {type(result).__name__}: {why}; give the output of a kickoff, or the crew, "
                "flow or agent itself after its kickoff",
                setting="result",
                value=type(result).__name__,
            )
        runs.extend(mine)
    return router.receipt(*dict.fromkeys(runs))
