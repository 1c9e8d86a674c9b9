"""`tierwise ledger`: what was called, and what it came to."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from tierwise.cli.exits import Exit
from tierwise.cli.screen import say, table
from tierwise.cli.settings import ConfigPath, LedgerPath, Output, ledger_path
from tierwise.errors import ConfigError
from tierwise.ledger.reading import By, Filters, SQLiteReader
from tierwise.ledger.render.cells import money, seconds

__all__ = ["ledger"]

_DEFAULT = Path("tierwise.toml")
_DAY = 86_400

ledger = App(name="ledger", help="What was called, and what it came to.", help_format="plaintext")

Since = Annotated[float | None, Parameter(name="--days", help="Only the last so many days.")]
Tier = Annotated[str | None, Parameter(help="Only the calls of this tier.")]
Model = Annotated[str | None, Parameter(help="Only the calls of this model: provider:name.")]
Job = Annotated[str | None, Parameter(help="Only the calls of this job.")]


@ledger.command(name="list")
def list_runs(
    *,
    limit: Annotated[int, Parameter(help="The most runs to show; the latest are.")] = 20,
    days: Since = None,
    tier: Tier = None,
    model: Model = None,
    job: Job = None,
    config: ConfigPath = _DEFAULT,
    ledger: LedgerPath = None,
) -> int:
    """List the runs, latest first."""
    runs = _reader(ledger, config).runs(limit, **_filters(days, tier, model, job))
    table(
        ("run", "began", "job", "tier", "calls", "cost", "time"),
        [
            (
                run.run_id,
                datetime.fromtimestamp(run.started_at, UTC).astimezone().isoformat(" ", "seconds"),
                run.job or "",
                run.tier or "none answered",
                str(run.calls),
                _cost(money(run.cost), run.unpriced, run.calls),
                seconds(run.latency),
            )
            for run in runs
        ],
        right=("calls", "cost", "time"),
    )
    return Exit.DONE


@ledger.command
def totals(
    *,
    by: Annotated[By, Parameter(help="What to add up by.")] = "tier",
    days: Since = None,
    tier: Tier = None,
    model: Model = None,
    job: Job = None,
    config: ConfigPath = _DEFAULT,
    ledger: LedgerPath = None,
) -> int:
    """Add up calls, tokens and costs, the dearest first."""
    found = _reader(ledger, config).totals(by, **_filters(days, tier, model, job))
    table(
        (by, "calls", "failed", "refused", "in doubt", "tokens in", "of which cached", "tokens out", "cost", "time"),
        [
            (
                total.key or "none",
                f"{total.calls:,}",
                f"{total.failed:,}",
                f"{total.refused:,}",
                f"{total.in_doubt:,}",
                f"{total.input_tokens:,}",
                f"{total.cached_tokens:,}",
                f"{total.output_tokens:,}",
                _cost(money(total.cost), total.unpriced, total.calls),
                seconds(total.latency),
            )
            for total in found
        ],
        right=("calls", "failed", "refused", "in doubt", "tokens in", "of which cached", "tokens out", "cost", "time"),
    )
    return Exit.DONE


@ledger.command
def export(
    *,
    format: Annotated[Literal["csv", "jsonl"], Parameter(help="The form.")] = "csv",  # noqa: A002 - the option's name
    days: Since = None,
    tier: Tier = None,
    model: Model = None,
    job: Job = None,
    output: Output = None,
    config: ConfigPath = _DEFAULT,
    ledger: LedgerPath = None,
) -> int:
    """Write every call as CSV or as lines of JSON."""
    lines = _reader(ledger, config).export(format, **_filters(days, tier, model, job))
    if output is None:
        for line in lines:
            print(line, end="")
        return Exit.DONE
    with output.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
    say(f"wrote {output}")
    return Exit.DONE


@ledger.command
def purge(
    *,
    older_than: Annotated[float | None, Parameter(help="Delete what began more than so many days ago.")] = None,
    everything: Annotated[bool, Parameter(name="--all", help="Delete everything.", negative="")] = False,
    content_only: Annotated[
        bool, Parameter(help="Keep the rows; delete prompts, answers and what may quote them.", negative="")
    ] = False,
    config: ConfigPath = _DEFAULT,
    ledger: LedgerPath = None,
) -> int:
    """Delete old calls so that nothing of them is left in the file."""
    if (older_than is None) == (not everything):
        raise ConfigError("say what to delete: --older-than DAYS, or --all", setting="older_than", value=older_than)
    from tierwise.ledger.sqlite import SQLiteLedger

    path, _ = ledger_path(ledger, config)
    before = math.inf if older_than is None else time.time() - older_than * _DAY
    with SQLiteLedger(path, on_error="raise") as kept:
        gone = kept.purge(before=before, content_only=content_only)
    say(f"{gone:,} calls " + ("lost their content" if content_only else "deleted"))
    return Exit.DONE


def _reader(given: Path | None, config: Path) -> SQLiteReader:
    return SQLiteReader(ledger_path(given, config)[0])


def _filters(days: float | None, tier: str | None, model: str | None, job: str | None) -> Filters:
    return {"since": None if days is None else time.time() - days * _DAY, "tier": tier, "model": model, "job": job}


def _cost(known: str, unpriced: int, calls: int) -> str:
    """What is known, and how many calls are not part of it."""
    if unpriced and unpriced == calls:
        return "unknown"
    return f"{known} + {unpriced} unknown" if unpriced else known
