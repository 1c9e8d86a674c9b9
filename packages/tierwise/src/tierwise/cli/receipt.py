"""`tierwise receipt`: the bill of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from tierwise.cli.exits import Exit
from tierwise.cli.screen import say, show, write
from tierwise.cli.settings import ConfigPath, LedgerPath, Output, ledger_path
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.fleet.pricing import Pricing
from tierwise.ledger.reading import SQLiteReader
from tierwise.ledger.receipt import Receipt
from tierwise.ledger.schema import Entry

__all__ = ["receipt"]

_DEFAULT = Path("tierwise.toml")
_LATEST = 10_000
"""Runs among which the beginning of an id is looked for."""


def receipt(
    run: Annotated[str | None, Parameter(help="The run's id, or its beginning; the latest run if not given.")] = None,
    *,
    config: ConfigPath = _DEFAULT,
    ledger: LedgerPath = None,
    format: Annotated[  # noqa: A002 - the option's name
        Literal["table", "json", "csv", "html"], Parameter(help="What it looks like.")
    ] = "table",
    output: Output = None,
) -> int:
    """Show every call of a run: what it cost, what was said of its answer, and the net saving against the baseline."""
    path, settings = ledger_path(ledger, config)
    reader = SQLiteReader(path)
    rows = _rows(reader, run)
    fleet = None if settings is None else settings.router(ledger=None).fleet
    bill = Receipt.of(rows) if fleet is None else Receipt.of(rows, pricing=Pricing(fleet), baseline=fleet.baseline)
    if format == "table" and output is None:
        show(bill)
        return Exit.DONE
    write({"table": bill.__str__, "json": bill.to_json, "csv": bill.to_csv, "html": bill.to_html}[format](), output)
    if output is not None:
        say(f"wrote {output}")
    return Exit.DONE


def _rows(reader: SQLiteReader, run: str | None) -> list[Entry]:
    if run is not None and (rows := reader.rows(run=run)):
        return rows
    known = [latest.run_id for latest in reader.runs(limit=1 if run is None else _LATEST)]
    found = [known_id for known_id in known if known_id.startswith(run or "")]
    if not known:
        raise ConfigError(f"the ledger {reader.path} holds no run yet", setting="ledger", value=reader.path)
    if not found:
        raise UnknownNameError("run", run or "", known[:5])
    if len(found) > 1:
        raise ConfigError(f"{len(found)} runs begin with {run!r}: give more of it", setting="run", value=run)
    return reader.rows(run=found[0])
