"""`[strategy]`: in what shape calls are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tierwise.config.document import Table
from tierwise.config.names import member, members, tier_names
from tierwise.config.verifier import VERIFIER_KEYS, read_verifier
from tierwise.fleet.fleet import Fleet
from tierwise.strategies import BestOf, Cascade, Observe, Perspectives, Sandwich, Single, Specialists, Vote
from tierwise.strategies.base import Strategy

__all__ = ["read_strategy"]

_STAGES = ("parse", "plan", "execute", "validate", "answer")


def read_strategy(root: Table, fleet: Fleet, key: str = "strategy") -> Strategy | None:
    """The strategy that a table describes; `None` if there is no such table.

    Args:
        root: The table that holds it.
        fleet: Whose tiers and models may be named.
        key: The table's name.

    Raises:
        ConfigFileError: A setting is wrong, or names a tier or model that the fleet does not have.
    """
    table = root.table(key)
    if table is None:
        return None
    readers: Mapping[str, Callable[[Table, Fleet], Strategy]] = {
        "cascade": _cascade,
        "single": _single,
        "best_of": _best_of,
        "vote": _vote,
        "perspectives": _perspectives,
        "sandwich": _sandwich,
        "specialists": _specialists,
        "observe": _observe,
    }
    return readers[table.one_of("name", readers) or "cascade"](table, fleet)


def _cascade(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name", *VERIFIER_KEYS, "on_unverified", "each"])
    return table.build(
        Cascade,
        read_verifier(table, fleet),
        on_unverified=table.one_of("on_unverified", ["escalate", "accept"]),
        each=read_strategy(table, fleet, "each"),
    )


def _single(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name"])
    return Single()


def _best_of(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name", *VERIFIER_KEYS, "n", "member", "temperature"])
    return table.build(
        BestOf,
        n=table.get("n", int),
        verifier=read_verifier(table, fleet),
        member=member(table, "member", fleet),
        temperature=table.get("temperature", float),
    )


def _vote(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name", "members", "on_tie", "quorum"])
    return table.build(
        Vote,
        members(table, "members", fleet) or (),
        on_tie=member(table, "on_tie", fleet),
        quorum=table.get("quorum", int),
    )


def _perspectives(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name", "members", "synthesizer"])
    return table.build(
        Perspectives, members(table, "members", fleet) or (), synthesizer=member(table, "synthesizer", fleet)
    )


def _sandwich(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name", *_STAGES])
    return table.build(Sandwich, **{stage: member(table, stage, fleet) for stage in _STAGES})


def _specialists(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name", "classifier", "labels", "each"])
    table.need("classifier", str)
    return table.build(
        Specialists,
        member(table, "classifier", fleet),
        tier_names(table, "labels", fleet),
        each=read_strategy(table, fleet, "each"),
    )


def _observe(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name", "baseline"])
    return table.build(Observe, member(table, "baseline", fleet))
