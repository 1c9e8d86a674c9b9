"""`[strategy]`: in what shape calls are made, and what judges an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tierwise.config.document import Table
from tierwise.context import resolve
from tierwise.fleet.fleet import Fleet
from tierwise.strategies.base import Strategy
from tierwise.strategies.cascade import Cascade, Single
from tierwise.verifiers.base import Verifier
from tierwise.verifiers.default import free_verifier
from tierwise.verifiers.judge import Judge

__all__ = ["read_strategy"]


def read_strategy(root: Table, fleet: Fleet) -> Strategy | None:
    """The strategy that a file describes; `None` if it says nothing.

    Raises:
        ConfigFileError: A setting is wrong.
    """
    table = root.table("strategy")
    if table is None:
        return None
    readers: Mapping[str, Callable[[Table, Fleet], Strategy]] = {"cascade": _cascade, "single": _single}
    return readers[table.one_of("name", readers) or "cascade"](table, fleet)


def _cascade(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name", "judge", "on_unverified"])
    return table.build(
        Cascade,
        _verifier(table, fleet),
        on_unverified=table.one_of("on_unverified", ["escalate", "accept"]),
    )


def _single(table: Table, fleet: Fleet) -> Strategy:
    table.only(["name"])
    return Single()


def _verifier(table: Table, fleet: Fleet) -> Verifier | None:
    """`judge`: a tier or model, a table with its settings, or false for none."""
    if table.as_dict().get("judge") is False:
        return free_verifier()
    items = table.items("judge")
    if not items:
        return None
    first = items[0]
    if isinstance(first, str):
        _known(table, "judge", first, fleet)
        return free_verifier() & Judge(first)
    first.only(["model", "rubric", "threshold", "calibrated", "max_output_tokens"])
    model = first.get("model", str)
    if model is not None:
        _known(first, "model", model, fleet)
    return free_verifier() & first.build(
        Judge,
        model,
        rubric=first.get("rubric", str),
        threshold=first.get("threshold", float),
        calibrated=first.get("calibrated", bool),
        max_output_tokens=first.get("max_output_tokens", int),
    )


def _known(table: Table, key: str, name: str, fleet: Fleet) -> None:
    with table.placing(key):
        resolve(fleet, name)
