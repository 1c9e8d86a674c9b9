"""What would it have cost? Calls of local models, billed as if a ladder of cloud models had made them."""

from __future__ import annotations

from collections.abc import Iterable

from tierwise import ModelSpec, Receipt, Router
from tierwise.fleet.pricing import Pricing
from tierwise.ledger.base import Readable
from tierwise.ledger.rows import Row
from tierwise.values import evolve

from tierwise_examples.ladders import CLOUD, Ladder

__all__ = ["at_list_prices", "note", "rows_of"]

_UNPAID = ("refused", "failed")
"""Calls that were not sent, or not answered."""


def at_list_prices(rows: Iterable[Row], ladder: Ladder, cloud: Ladder = CLOUD) -> Receipt:
    """The bill of a run as if the cloud's model of the same tier had made each call.

    It is an estimate: the tokens are those that the local models counted, and other models would have written other
    answers. Each line names the model that is billed and the one that answered.

    Args:
        rows: The run's calls. Those that no model of the ladder made, e.g. a check's command, stay as they are.
        ladder: The models that made them. What is compared is the cloud's model of its top tier.
        cloud: The models at whose public list prices they are billed.
    """
    fleet = cloud.fleet()
    pricing, specs = Pricing(fleet), {tier.name: tier.models[0] for tier in fleet.ladder}
    billed = [_billed(row, specs[cloud.at(row.tier)], pricing) if row.tier in ladder.models else row for row in rows]
    return Receipt.of(billed, pricing=pricing, baseline=specs[cloud.at(ladder.top)])


def _billed(row: Row, model: ModelSpec, pricing: Pricing) -> Row:
    answered = row.answered_by or row.model.partition(":")[2]
    row = evolve(row, model=model.id, answered_by=answered)
    if row.cost_source in _UNPAID:
        return row
    cost = pricing.cost(model, None, row.usage)
    return evolve(row, cost=cost.usd, cost_source=cost.source)


def note(ladder: Ladder, cloud: Ladder = CLOUD) -> str:
    """What has to be said beside figures of `at_list_prices`."""
    pairs = ", ".join(f"{model} as {cloud.models[cloud.at(tier)]}" for tier, model in ladder.models.items())
    return f"Estimated: the local models' tokens at the public list prices of other models ({pairs})."


def rows_of(router: Router) -> list[Row]:
    """Every call of a router, in the order in which they began."""
    ledger = router.ledger
    return list(ledger.rows()) if isinstance(ledger, Readable) else []
