"""The audit itself: one pass over the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias

from tierwise.audit.kinds import Finding, Share, find
from tierwise.audit.report import AuditReport, Projection, Slice
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.pricing import Pricing
from tierwise.ledger.receipt import total_cost
from tierwise.ledger.rows import Row
from tierwise.policies.jobs import JOBS, Kind

__all__ = ["audit"]

_ORDER: tuple[Share, ...] = ("structured", "reasoning", "unclear", "overhead")

Found: TypeAlias = "tuple[Row, Finding]"


def audit(
    rows: Iterable[Row],
    pricing: Pricing | None = None,
    *,
    small: ModelSpec | str | None = None,
    jobs: Mapping[str, Kind] | None = None,
) -> AuditReport:
    """Tells structured calls from those that need reasoning, and estimates what routing could save. Changes nothing.

    Args:
        rows: The calls, as a ledger or a receipt has them.
        pricing: Prices the small model. Without it nothing is projected.
        small: The model that the structured calls could go to.
        jobs: Further jobs and their kinds, or other kinds for known ones.
    """
    listed = tuple(rows)
    refused = [row for row in listed if row.state == "refused"]
    failed = [row for row in listed if row.state != "refused" and row.error_type is not None]
    kinds: dict[str, Kind] = {**JOBS, **(jobs or {})}
    found = [(row, find(row, kinds)) for row in listed if row.state != "refused" and row.error_type is None]
    times = [row.started_at for row, _ in found]
    return AuditReport(
        min(times, default=None),
        max(times, default=None),
        calls=len(found),
        refused=len(refused),
        failed=len(failed),
        shares=_slices(found, lambda row, finding: ""),
        evidence=_slices(found, lambda row, finding: finding.evidence),
        by={
            "tier": _slices(found, lambda row, finding: row.tier),
            "model": _slices(found, lambda row, finding: row.model),
            "job": _slices(found, lambda row, finding: row.job or ""),
        },
        projection=None if pricing is None or small is None else _project(found, pricing, ModelSpec.of(small)),
    )


def _slices(found: Iterable[Found], key: Callable[[Row, Finding], str]) -> tuple[Slice, ...]:
    groups: dict[tuple[Share, str], list[Row]] = {}
    for row, finding in found:
        groups.setdefault((finding.share, key(row, finding)), []).append(row)
    slices = [_slice(share, name, rows) for (share, name), rows in groups.items()]
    return tuple(sorted(slices, key=lambda s: (_ORDER.index(s.share), -s.cost, -s.calls, s.key)))


def _slice(share: Share, key: str, rows: Sequence[Row]) -> Slice:
    usages = [row.usage for row in rows]
    return Slice(
        share,
        key,
        calls=len(rows),
        input_tokens=sum(u.input_tokens or 0 for u in usages if u is not None),
        output_tokens=sum(u.output_tokens or 0 for u in usages if u is not None),
        estimated=sum(u is None or u.estimated for u in usages),
        cost=sum((row.cost for row in rows if row.cost is not None), Decimal(0)),
        unpriced=sum(row.cost is None for row in rows),
    )


def _project(found: Sequence[Found], pricing: Pricing, small: ModelSpec) -> Projection | None:
    structured = [row for row, finding in found if finding.share == "structured"]
    if not structured:
        return None
    tried_in = {row.run_id for row in structured if row.model == small.id}
    movable = [row for row in structured if row.purpose == "answer" and row.run_id not in tried_in]
    known = [row for row in movable if row.cost is not None and row.usage is not None]
    tried = [row for row in structured if row.model == small.id and row.verdict is not None]
    escalated = sum(row.purpose == "draft" for row in tried)
    return Projection(
        small.key,
        len(known),
        len(movable) - len(known),
        total_cost(known) or Decimal(0),
        pricing.total(small, [row.usage for row in known]).usd if known else Decimal(0),
        len(tried),
        escalated / len(tried) if tried else None,
        _assumptions(small, len(movable) - len(known), len(tried), escalated),
    )


def _assumptions(small: ModelSpec, left_out: int, tried: int, escalated: int) -> tuple[str, ...]:
    rate = (
        f"it escalates as often as its structured calls in this ledger: {escalated} of {tried}"
        if tried
        else "how often it would escalate is unknown: it has no judged structured call in this ledger"
    )
    assumed = [
        f"only delivered answers count, of runs in which {small.key} was not tried",
        f"{small.key} takes the same number of tokens as the models that answered",
        rate,
        "an escalated call costs what it did cost, and the small model's try on top",
        "the shape of an answer is checked for nothing; a judge would come on top",
    ]
    if left_out:
        assumed.append(f"{left_out} structured answers are left out: their tokens or their price are not known")
    return tuple(assumed)
