"""Which calls follow a form, and which need reasoning? Told by evidence in the row, and by nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tierwise.ledger.rows import Row
from tierwise.policies.jobs import JOBS, Kind

__all__ = ["Finding", "Share", "find"]

Share: TypeAlias = Literal["structured", "reasoning", "unclear", "overhead"]
"""`structured`: the work has a form that can be checked, or a job that needs no deep thought. `reasoning`: its job or
purpose does. `unclear`: the row does not tell. `overhead`: routing's own call (a judge, a classifier, a test run)."""

_OVERHEAD = ("judge", "classify", "check")
_REASONING = ("plan", "synthesis")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a call is, and by which evidence."""

    share: Share
    evidence: str


def find(row: Row, jobs: Mapping[str, Kind] = JOBS) -> Finding:
    """What a call is.

    The job that the caller named says most; where there is none, or one that is not in the table, the shape of the
    answer may tell.

    Args:
        row: The call.
        jobs: The kind of each job.
    """
    if row.purpose in _OVERHEAD:
        return Finding("overhead", f"purpose {row.purpose}")
    kind = jobs.get(row.job) if row.job else None
    if kind is not None:
        return Finding("reasoning" if kind == "reasoning" else "structured", f"{kind} job")
    if row.purpose in _REASONING:
        return Finding("reasoning", f"purpose {row.purpose}")
    shape = _shape(row)
    return Finding("structured", shape) if shape else Finding("unclear", "neither job nor shape tells")


def _shape(row: Row) -> str:
    if row.tool_calls:
        return "tool-call turn"
    if row.typed:
        return "typed output"
    if row.verdict == "accept" and row.conclusive:
        return "accepted on conclusive evidence"
    return ""
