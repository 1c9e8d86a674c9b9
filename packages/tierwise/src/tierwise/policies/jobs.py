"""The job table: what a step does says more about the tier it needs than any word in its prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from tierwise.context import Context, Decision
from tierwise.errors import UnknownNameError
from tierwise.policies.base import Policy
from tierwise.task import Task

__all__ = ["JOBS", "JobTable", "Kind"]

Kind: TypeAlias = Literal["orchestration", "execution", "reasoning"]

JOBS: Mapping[str, Kind] = {
    "orchestration": "orchestration",
    "route": "orchestration",
    "classify": "orchestration",
    "extract": "orchestration",
    "summarize": "orchestration",
    "summarise": "orchestration",
    "format": "orchestration",
    "parse": "orchestration",
    "rewrite": "orchestration",
    "translate": "orchestration",
    "validate": "orchestration",
    "tool": "orchestration",
    "answer": "orchestration",
    "execution": "execution",
    "execute": "execution",
    "code": "execution",
    "test": "execution",
    "transform": "execution",
    "write": "execution",
    "reasoning": "reasoning",
    "plan": "reasoning",
    "analyze": "reasoning",
    "analyse": "reasoning",
    "review": "reasoning",
    "decide": "reasoning",
    "design": "reasoning",
}
"""The kind of each common job. Orchestration runs constantly and starts at the bottom of the ladder, execution in the
middle, reasoning at the top."""


class JobTable(Policy):
    """Starts each kind of job at its own tier. Abstains where the task names no job, or one that is not in the table.

    Args:
        orchestration: The tier for routing, tool calls, summaries, extraction; the lowest by default.
        execution: The tier for code, scripts, transforms; the middle of the ladder (rounded down) by default.
        reasoning: The tier for analysis, trade-offs, plans; the highest by default.
        jobs: Further jobs and their kinds, or other kinds for known ones.

    Raises:
        UnknownNameError: A job is of a kind that does not exist.
    """

    def __init__(
        self,
        *,
        orchestration: str | None = None,
        execution: str | None = None,
        reasoning: str | None = None,
        jobs: Mapping[str, Kind] | None = None,
    ) -> None:
        self._tiers: dict[Kind, str | None] = {
            "orchestration": orchestration,
            "execution": execution,
            "reasoning": reasoning,
        }
        self._jobs: dict[str, Kind] = {**JOBS, **(jobs or {})}
        for job, kind in self._jobs.items():
            if kind not in self._tiers:
                raise UnknownNameError("kind of job", kind, self._tiers, where=f"jobs[{job!r}]")

    def decide(self, task: Task, context: Context) -> Decision | None:
        """See `Policy`."""
        kind = self._jobs.get(task.job) if task.job else None
        if kind is None:
            return None
        tier = self._tiers[kind] or self._default(kind, context)
        return Decision(tier, rule="job table", reason=f"{task.job} is {kind}")

    def refs(self) -> Iterable[str]:
        """See `Policy`."""
        return [tier for tier in self._tiers.values() if tier is not None]

    def _default(self, kind: Kind, context: Context) -> str:
        ladder = context.fleet.ladder
        places: dict[Kind, int] = {
            "orchestration": 0,
            "execution": (len(ladder) - 1) // 2,
            "reasoning": len(ladder) - 1,
        }
        return ladder[places[kind]].name
