"""What a cell says: figures and verdicts in the words that every form of a receipt shares."""

from __future__ import annotations

import re
import unicodedata
from decimal import ROUND_HALF_UP, Decimal

from tierwise.ledger.rows import Row

__all__ = ["clean", "cost", "latency", "model", "money", "seconds", "tokens", "verdict"]

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x1b\\|\x07|$)|[@-Z\\-_])?", re.DOTALL)
_LONGEST = 240
_CENTS = Decimal("0.01")
_SMALLEST = Decimal("0.000001")
_MINUTE = 60


def clean(text: str, longest: int | None = None) -> str:
    """Text that does nothing to a terminal or a page: one line, no escape sequence, no control or direction mark."""
    text = _ESCAPE.sub("", text)
    kept = (" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    line = " ".join("".join(kept).split())
    return line if longest is None or len(line) <= longest else line[: longest - 1] + "…"


def money(usd: Decimal) -> str:
    """USD: to a hundredth of a cent, or to a millionth of a dollar below a cent; zero is `$0`."""
    if not usd:
        return "$0"
    sign, size = ("-" if usd < 0 else ""), abs(usd)
    if size < _SMALLEST:
        return f"{sign}<$0.000001"
    rounded = size.quantize(Decimal("0.0001") if size >= _CENTS else _SMALLEST, ROUND_HALF_UP)
    whole, _, part = f"{rounded:,f}".partition(".")
    return f"{sign}${whole}.{part.rstrip('0').ljust(2, '0')}"


def cost(row: Row) -> str:
    """The cost of a call: `unknown` where its price is; `local` says why a zero is one."""
    if row.cost is None:
        return "unknown"
    return f"{money(row.cost)} local" if row.cost_source == "local" else money(row.cost)


def tokens(row: Row) -> str:
    """Tokens in and out; `~` marks estimates."""
    usage = row.usage
    if usage is None:
        return "none" if row.cost_source in ("refused", "failed") else "unknown"
    mark = "~" if usage.estimated else ""
    into = f"{_count(mark, usage.input_tokens)} in{_of_which(usage.cached_tokens, 'cached')}"
    out = f"{_count(mark, usage.output_tokens)} out{_of_which(usage.reasoning_tokens, 'reasoning')}"
    return f"{into}, {out}"


def _count(mark: str, count: int | None) -> str:
    return "unknown" if count is None else f"{mark}{count:,}"


def _of_which(count: int, kind: str) -> str:
    return f" ({count:,} {kind})" if count else ""


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None:
        return "unknown"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < _MINUTE:
        return f"{value:.1f} s"
    return f"{int(value // _MINUTE)} min {value % _MINUTE:.0f} s"


def latency(row: Row) -> str:
    """How long a call took, and how long to its first token where it was streamed."""
    if row.state == "refused":
        return "not sent"
    first = f" (first token {seconds(row.first_token)})" if row.first_token is not None else ""
    return seconds(row.latency) + first


def model(row: Row) -> str:
    """The model that was asked, and the one that answered where its name differs."""
    answered = row.answered_by
    if answered is None or answered in (row.model, row.model.partition(":")[2]):
        return clean(row.model)
    return f"{clean(row.model)} (answered by {clean(answered, _LONGEST)})"


def verdict(row: Row) -> str:
    """What was said of the answer and on what evidence, or what went wrong."""
    if row.state == "unknown":
        return "in doubt: the process died before the call was settled"
    if row.error_type is not None:
        what = "refused" if row.state == "refused" else "failed"
        return clean(f"{what}: {row.error_type}" + (f": {row.error}" if row.error else ""), _LONGEST)
    parts = [_judgement(row)] if row.verdict else []
    if row.repaired:
        parts.append("tool call repaired from text")
    if row.finish_reason in ("aborted", "interrupted"):
        parts.append(row.finish_reason)
    return "; ".join(parts)


def _judgement(row: Row) -> str:
    said = f"{row.verdict}: " + ": ".join(filter(None, (clean(row.verifier), clean(row.evidence, _LONGEST))))
    figures: list[str] = [] if row.score is None else [f"score {row.score:g}"]
    if row.threshold is not None:
        calibrated = {True: ", calibrated", False: ", not calibrated", None: ""}[row.calibrated]
        figures.append(f"threshold {row.threshold:g}{calibrated}")
    return said.removesuffix(": ") + (f" ({'; '.join(figures)})" if figures else "")
