"""`[[rules]]` and `[policy]`: who tries first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from tierwise.config.document import Table
from tierwise.errors import UnknownNameError
from tierwise.fleet.fleet import Fleet
from tierwise.policies.base import Always, FirstOf, Policy, PolicyLike
from tierwise.policies.complexity import Complexity
from tierwise.policies.jobs import JOBS, JobTable, Kind
from tierwise.policies.length import LongerThan
from tierwise.policies.needs import Needs
from tierwise.policies.picks import Cheapest, Fastest
from tierwise.policies.rule import Rule
from tierwise.policies.steps import AfterError, HighStakes

__all__ = ["read_policy", "tier_name"]

_CONDITIONS = ("job", "node", "role", "tags", "pattern")
_ALONE = ("longer_than", "needs")
_NEEDS = ("tools", "json_schema", "vision", "logprobs")
_PICKS: Mapping[str, Callable[[PolicyLike], Policy]] = {"cheapest": Cheapest, "fastest": Fastest}
_KINDS = tuple(dict.fromkeys(JOBS.values()))


def read_policy(root: Table, fleet: Fleet) -> Policy | None:
    """The policy that a file describes; `None` if it says nothing.

    What is asked first: high stakes and errors, which no rule should hide; then the rules, in the order of the file;
    then what jobs mean; then, where it is wanted, how involved the request looks; then the default.

    Raises:
        ConfigFileError: A setting is wrong, or names a tier that the fleet does not have.
    """
    rules = [_rule(table, fleet) for table in root.tables("rules")]
    table = root.table("policy")
    if table is None:
        return FirstOf(HighStakes(), AfterError(), *rules, JobTable()) if rules else None
    table.only(["high_stakes", "after_error", "jobs", "complexity", "default", "prefer"])
    members: list[Policy] = [HighStakes(tier_name(table, "high_stakes", fleet))]
    if table.get("after_error", bool) is not False:
        members.append(AfterError())
    members += [*rules, _jobs(table.table("jobs"), fleet)]
    if table.get("complexity", bool):
        members.append(Complexity())
    default = tier_name(table, "default", fleet)
    if default is not None:
        members.append(Always(default))
    prefer = table.one_of("prefer", _PICKS)
    return _PICKS[prefer](FirstOf(*members)) if prefer else FirstOf(*members)


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


def tier_name(table: Table, key: str, fleet: Fleet) -> str | None:
    """A setting that names a tier of the fleet.

    Raises:
        ConfigFileError: There is no such tier; the message names the nearest.
    """
    name = table.get(key, str)
    if name is not None:
        with table.placing(key):
            fleet.tier(name)
    return name
