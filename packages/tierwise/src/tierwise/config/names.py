"""Settings that name tiers and models of the fleet."""

from __future__ import annotations

from tierwise.config.document import Table
from tierwise.context import resolve
from tierwise.fleet.fleet import Fleet

__all__ = ["member", "members", "tier_name", "tier_names"]


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


def tier_names(table: Table, key: str, fleet: Fleet) -> dict[str, str] | None:
    """A table that gives each of its keys a tier.

    Raises:
        ConfigFileError: As in `tier_name`.
    """
    named = table.table(key)
    if named is None:
        return None
    found = {label: tier_name(named, label, fleet) for label in named.keys}
    return {label: tier for label, tier in found.items() if tier is not None}


def member(table: Table, key: str, fleet: Fleet) -> str | None:
    """A setting that names a tier, an alias or a model.

    Raises:
        ConfigFileError: The fleet has none of that name; the message names the nearest.
    """
    name = table.get(key, str)
    if name is not None:
        with table.placing(key):
            resolve(fleet, name)
    return name


def members(table: Table, key: str, fleet: Fleet) -> tuple[str, ...] | None:
    """A setting that names several.

    Raises:
        ConfigFileError: As in `member`.
    """
    names = table.texts(key)
    for name in names or ():
        with table.placing(key):
            resolve(fleet, name)
    return names
