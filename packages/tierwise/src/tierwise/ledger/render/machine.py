"""A receipt for programs."""

from __future__ import annotations

import json
from typing import Any

from tierwise.ledger.receipt import Receipt
from tierwise.ledger.render.records import record

__all__ = ["as_json"]


def as_json(receipt: Receipt, indent: int | None) -> str:
    """The receipt as JSON. USD are decimal texts, so that nothing is lost; `null` is unknown."""
    saving = receipt.saving
    compared: dict[str, Any] | None = saving and {
        "baseline": saving.baseline,
        "baseline_cost": _usd(saving.baseline_cost),
        "usd": _usd(saving.usd),
        "share": saving.share,
        "estimated": True,
        "unknown": saving.unknown or None,
    }
    whole = {
        "cost": _usd(receipt.cost),
        "known_cost": _usd(receipt.known_cost),
        "unpriced": receipt.unpriced,
        "latency": receipt.latency,
        "saving": compared,
        "rows": [record(row) for row in receipt.rows],
    }
    return json.dumps(whole, indent=indent)


def _usd(value: Any) -> str | None:
    return None if value is None else format(value, "f")
