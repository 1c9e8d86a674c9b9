"""`tierwise audit`: could it be cheaper? Reads the ledger, and changes nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tierwise.cli.exits import Exit
from tierwise.cli.screen import show
from tierwise.cli.settings import ConfigPath, LedgerPath, ledger_path
from tierwise.fleet.pricing import Pricing
from tierwise.ledger.reading import SQLiteReader

__all__ = ["audit"]

_DEFAULT = Path("tierwise.toml")
_DAY = 86_400


def audit(
    *,
    small: Annotated[
        str | None,
        Parameter(help="The model that structured calls could go to; the first of the lowest tier if not given."),
    ] = None,
    days: Annotated[float | None, Parameter(help="Only the last so many days.")] = None,
    as_json: Annotated[bool, Parameter(name="--json", help="Give the report as JSON.", negative="")] = False,
    config: ConfigPath = _DEFAULT,
    ledger: LedgerPath = None,
) -> int:
    """Show which calls follow a form and which need reasoning, the split by tier and cost, and what could be saved.

    The saving is an estimate; what it assumes is said with it.
    """
    from tierwise.audit import audit as look

    path, settings = ledger_path(ledger, config)
    rows = SQLiteReader(path).rows(since=None if days is None else time.time() - days * _DAY)
    if settings is None:
        report = look(rows)
    else:
        fleet = settings.router(ledger=None).fleet
        model = fleet.ladder[0].models[0] if small is None else fleet.find(small, where="--small")
        report = look(rows, Pricing(fleet), small=model)
    if as_json:
        print(report.to_json())
    else:
        show(report)
    return Exit.DONE
