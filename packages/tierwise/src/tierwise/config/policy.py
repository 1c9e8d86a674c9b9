"""`[[rules]]` and `[policy]`: who tries first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from tierwise.config.document import Table
from tierwise.config.names import member, tier_name, tier_names
from tierwise.context import resolve
from tierwise.errors import UnknownNameError
from tierwise.fleet.fleet import Fleet
from tierwise.policies.base import Always, FirstOf, Policy, PolicyLike
from tierwise.policies.classifier import Classifier
from tierwise.policies.complexity import Complexity
from tierwise.policies.default import default_policy
from tierwise.policies.jobs import JOBS, JobTable, Kind
from tierwise.policies.label_table import LabelTable
from tierwise.policies.length import LongerThan
from tierwise.policies.needs import Needs
from tierwise.policies.picks import Cheapest, Fastest
from tierwise.policies.rule import Rule
from tierwise.policies.session import SessionAffinity
from tierwise.policies.stalled import Stalled
from tierwise.policies.steps import ActStep, AfterError, HighStakes, PlanStep

__all__ = ["read_policy"]

_CONDITIONS = ("job", "node", "role", "tags", "pattern")
_POLICY = (
    "high_stakes",
    "after_error",
    "plan_step",
    "act_step",
    "stalled",
    "labels",
    "jobs",
    "classifier",
    "complexity",
    "default",
    "prefer",
    "keep_session",
)
_PARTS: Mapping[str, Mapping[str, type]] = {
    "plan_step": {"tier": str, "first": bool},
    "act_step": {"tier": str, "prose": int},
    "stalled": {"repeats": int, "steps": int},
    "keep_session": {"release_after": float},
}
"""Policies that are switched on or off, or have settings of their own."""
_ALONE = ("longer_than", "needs")
_NEEDS = ("tools", "json_schema", "vision", "logprobs")
_PICKS: Mapping[str, Callable[[PolicyLike], Policy]] = {"cheapest": Cheapest, "fastest": Fastest}
_KINDS = tuple(dict.fromkeys(JOBS.values()))


def read_policy(root: Table, fleet: Fleet, folder: Path) -> Policy | None:
    """The policy that a file describes; `None` if it says nothing.

    What is asked first: high stakes and errors, which no rule should hide; then the rules, in the order of the file;
    then whether the step plans; then what outcomes say of a job, and what jobs mean; then, where they are wanted, a
    classifier and how involved the request looks; then the default. After a tool's result, what follows the rules says
    who writes, and the lowest tier acts. Around all of that, an agent that is stalled goes up, and a session is kept.

    Args:
        root: The file.
        fleet: Whose tiers and models may be named.
        folder: Where relative paths start.

    Raises:
        ConfigFileError: A setting is wrong, or names a tier or model that the fleet does not have.
    """
    rules = [_rule(table, fleet) for table in root.tables("rules")]
    table = root.table("policy")
    if table is None:
        return default_policy(*rules) if rules else None
    table.only(_POLICY)
    last, jobs = tier_name(table, "default", fleet), table.table("jobs")
    answering = _first_of(
        _labels(table, fleet, folder),
        _jobs(jobs, fleet),
        _classifier(table, fleet),
        Complexity() if table.get("complexity", bool) else None,
        None if last is None else Always(last),
    )
    planning = None if jobs is None else tier_name(jobs, "reasoning", fleet)
    policy = _first_of(
        HighStakes(tier_name(table, "high_stakes", fleet)),
        None if table.get("after_error", bool) is False else AfterError(),
        *rules,
        _part(table, "plan_step", fleet, partial(PlanStep, tier=planning), on=True),
        _part(table, "act_step", fleet, partial(ActStep, answering), on=True) or answering,
    )
    return _wrapped(table, fleet, _part(table, "stalled", fleet, partial(Stalled, policy), on=True) or policy)


def _first_of(*policies: Policy | None) -> Policy:
    return FirstOf(*(policy for policy in policies if policy is not None))


def _wrapped(table: Table, fleet: Fleet, policy: Policy) -> Policy:
    prefer = table.one_of("prefer", _PICKS)
    if prefer is not None:
        policy = _PICKS[prefer](policy)
    return _part(table, "keep_session", fleet, partial(SessionAffinity, policy), on=False) or policy


def _part(table: Table, key: str, fleet: Fleet, make: Callable[..., Policy], *, on: bool) -> Policy | None:
    """A policy that is on, off, or a table of its settings; `None` if it is off."""
    if not isinstance(table.as_dict().get(key), dict):
        given = table.get(key, bool)
        return make() if given or (given is None and on) else None
    inner = table.table(key)
    assert inner is not None  # noqa: S101 - told above
    inner.only(_PARTS[key])
    fields: dict[str, Any] = {
        name: tier_name(inner, name, fleet) if name == "tier" else inner.get(name, kind)
        for name, kind in _PARTS[key].items()
    }
    return inner.build(make, **fields)


def _rule(table: Table, fleet: Fleet) -> Policy:
    table.only(["tier", *_CONDITIONS, *_ALONE])
    table.need("tier", str)
    tier = tier_name(table, "tier", fleet)
    alone = next((key for key in _ALONE if key in table), None)
    if alone is None:
        return table.build(
            Rule,
            tier=tier,
            job=table.texts("job"),
            node=table.texts("node"),
            role=table.texts("role"),
            tags=table.texts("tags"),
            pattern=table.get("pattern", str),
        )
    if len(table.keys) > 2:
        raise table.error(f"{alone!r} is a rule of its own: put the other conditions into another [[rules]]", alone)
    if alone == "longer_than":
        with table.placing(alone):
            return LongerThan(table.need(alone, int), tier=tier or "")
    needed = table.texts("needs") or ()
    for capability in needed:
        if capability not in _NEEDS:
            with table.placing("needs"):
                raise UnknownNameError("capability", capability, _NEEDS)
    return table.build(Needs, tier=tier, **dict.fromkeys(needed, True))


def _jobs(table: Table | None, fleet: Fleet) -> Policy:
    """`[policy.jobs]`: the tier of each kind of job, and under `kinds` which kind further jobs are."""
    if table is None:
        return JobTable()
    table.only([*_KINDS, "kinds"])
    kinds = table.table("kinds")
    jobs: dict[str, Kind] = {}
    for job in kinds.keys if kinds is not None else ():
        assert kinds is not None  # noqa: S101 - the loop is empty otherwise
        jobs[job] = cast("Kind", kinds.one_of(job, _KINDS))
    make: Callable[..., Policy] = JobTable
    return table.build(make, jobs=jobs or None, **{kind: tier_name(table, kind, fleet) for kind in _KINDS})


def _labels(table: Table, fleet: Fleet, folder: Path) -> Policy | None:
    """`labels`: the file of a saved `LabelTable`, or a table with its `path` and `on_error`."""
    items = table.items("labels")
    if not items:
        return None
    first, on_error = items[0], None
    if isinstance(first, str):
        where, key, path = table, "labels", first
    else:
        first.only(["path", "on_error"])
        where, key, path = first, "path", first.need("path", str)
        on_error = first.one_of("on_error", ["raise", "warn"])
    load: Callable[..., LabelTable] = LabelTable.load
    with where.placing(key):
        policy = load(folder / Path(path).expanduser(), on_error=on_error or "raise")
        for name in policy.model_refs():
            resolve(fleet, name)
    return policy


def _classifier(table: Table, fleet: Fleet) -> Policy | None:
    """`classifier`: who is asked, or a table with `model`, and `labels` with a tier for each."""
    items = table.items("classifier")
    if not items:
        return None
    first = items[0]
    if isinstance(first, str):
        return Classifier(member(table, "classifier", fleet) or first)
    first.only(["model", "labels", "instructions"])
    return first.build(
        Classifier,
        model=member(first, "model", fleet),
        labels=tier_names(first, "labels", fleet),
        instructions=first.get("instructions", str),
    )
