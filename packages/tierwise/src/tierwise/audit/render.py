"""How an audit's report looks: as plain text, in a terminal, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tierwise.audit.report import AuditReport, Projection, Slice
from tierwise.errors import MissingExtraError
from tierwise.ledger.render.cells import clean, money

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["TerminalReport", "as_json", "plain"]

_NUMBERS = ("calls", "tokens in", "tokens out", "cost")


@dataclass(frozen=True, slots=True)
class Block:
    """A table: headings and lines of cells."""

    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def plain(report: AuditReport) -> str:
    """The report as plain text."""
    out = [_title(report)]
    for block in _blocks(report):
        widths = [max(map(len, column)) for column in zip(block.headings, *block.lines, strict=True)]
        out += ["", *(_line(cells, widths) for cells in (block.headings, *block.lines))]
    return "\n".join([*out, "", *_words(report)])


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    texts = (
        c.rjust(w) if i >= len(cells) - len(_NUMBERS) else c.ljust(w)
        for i, (c, w) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(texts).rstrip()


class TerminalReport:
    """A report that rich can print.

    Raises:
        MissingExtraError: rich is not installed.
    """

    def __init__(self, report: AuditReport) -> None:
        try:
            import rich.table
            import rich.text
        except ImportError:
            raise MissingExtraError("an audit's tables in the terminal", "tierwise[cli]") from None
        self._report = report
        self._table, self._text = rich.table.Table, rich.text.Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self._text
        yield text(_title(self._report), style="bold")
        for block in _blocks(self._report):
            table = self._table()
            for heading in block.headings:
                table.add_column(heading, justify="right" if heading in _NUMBERS else "left", overflow="fold")
            for cells in block.lines:
                table.add_row(*map(text, cells))
            yield table
        for words in _words(self._report):
            yield text(words)


def as_json(report: AuditReport, indent: int | None) -> str:
    """The report as JSON."""
    whole = asdict(report)
    projection = report.projection
    if projection is not None:
        for name in ("most", "saving", "break_even"):
            whole["projection"][name] = getattr(projection, name)
        whole["projection"]["estimated"] = True
    return json.dumps(whole, indent=indent, default=_usd)


def _usd(value: Any) -> str:
    assert isinstance(value, Decimal)  # noqa: S101 - nothing else in a report is foreign to JSON
    return format(value, "f")


def _title(report: AuditReport) -> str:
    if report.since is None or report.until is None:
        return "Audit: there are no calls to look at"
    return f"Audit of {report.calls} calls, {_day(report.since)} to {_day(report.until)}"


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def _blocks(report: AuditReport) -> list[Block]:
    if not report.calls:
        return []
    named = {"evidence": report.evidence} | dict(report.by)
    return [
        Block(("kind", *_NUMBERS), tuple((s.share, *_figures(s)) for s in report.shares)),
        *(
            Block(
                ("kind", name, *_NUMBERS), tuple((s.share, clean(s.key) or "none named", *_figures(s)) for s in slices)
            )
            for name, slices in named.items()
        ),
    ]


def _figures(slice_: Slice) -> tuple[str, ...]:
    mark = "~" if slice_.estimated else ""
    priced = slice_.calls - slice_.unpriced
    cost = money(slice_.cost) if priced else "unknown"
    if priced and slice_.unpriced:
        cost += f" and {slice_.unpriced} unknown"
    return f"{slice_.calls:,}", f"{mark}{slice_.input_tokens:,}", f"{mark}{slice_.output_tokens:,}", cost


def _words(report: AuditReport) -> Iterable[str]:
    if report.refused or report.failed:
        yield f"Left out: {report.refused} refused and {report.failed} failed calls."
    if any(s.estimated for s in report.shares):
        yield "~ marks sums in which token counts are estimates or not known."
    if report.projection is not None:
        yield from _projected(report.projection)
    elif any(s.share == "structured" for s in report.shares):
        yield "No saving is estimated: name a small model, and how it is priced."
    else:
        yield "No saving is estimated: there are no structured calls."


def _projected(projection: Projection) -> Iterable[str]:
    model = clean(projection.model)
    if not projection.calls:
        yield f"No saving is estimated: no structured answer of known tokens and price went past {model}."
    elif projection.small_cost is None or projection.most is None:
        yield f"No saving is estimated: the price of {model} is not known."
    else:
        yield (
            f"Estimated, if {projection.calls} structured answers had gone to {model}: "
            f"{money(projection.small_cost)} in place of {money(projection.cost)}."
        )
        yield f"Estimated saving: {_saving(projection)}; at most {money(projection.most)}, if none escalated."
        if projection.break_even is not None:
            yield f"Nothing is saved once {projection.break_even:.0%} of them escalate."
    yield "Assumed:"
    yield from (f"- {clean(assumed)}" for assumed in projection.assumptions)


def _saving(projection: Projection) -> str:
    if projection.saving is None:
        return "unknown, as the escalation rate is"
    return f"{money(projection.saving)} at the observed escalation rate of {projection.escalation_rate:.0%}"
