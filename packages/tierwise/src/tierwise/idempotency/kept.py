"""A reply as it is kept, and made anew: plain JSON, in ASCII, so that every store can hold it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any

from tierwise.attempt import Attempt, Outcome
from tierwise.context import Decision
from tierwise.errors import UnknownNameError
from tierwise.fleet.fleet import Fleet
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Usage
from tierwise.flow import Stated
from tierwise.ledger.receipt import Receipt
from tierwise.ledger.rows import Row
from tierwise.messages import ToolCall
from tierwise.reply import Reply
from tierwise.schema import parse_output
from tierwise.task import Task
from tierwise.verdict import Verdict

__all__ = ["Again", "packed"]

_VERSION = 1

_OUTCOME = ("text", "thinking", "model", "response_id", "finish_reason", "latency", "first_token")
_DECISION = ("tier", "rule", "reason", "model", "scores", "adjusted", "then", "firm")
_VERDICT = ("result", "evidence", "verifier", "conclusive", "score", "threshold", "calibrated", "quotes")
_ROW = tuple(field.name for field in fields(Row) if field.name not in ("usage", "cost"))


def packed(reply: Reply) -> str:
    """The reply as text: what was answered, on what evidence, by whom, and every row of its receipt."""
    outcome = reply.outcome
    verdict = outcome.verdict
    kept = {
        "version": _VERSION,
        "run_id": reply.run_id,
        "status": reply.status,
        "asked": [outcome.attempt.model.key, outcome.attempt.tier, outcome.attempt.purpose],
        "outcome": _read(outcome, _OUTCOME) | _billed(outcome),
        "tool_calls": [asdict(call) | {"arguments": dict(call.arguments)} for call in outcome.tool_calls],
        "verdict": None if verdict is None else _read(verdict, _VERDICT),
        "decision": _read(reply.decision, _DECISION) | {"cache_loss": _text(reply.decision.cache_loss)},
        "statements": [[stated.text, dict(stated.data)] for stated in reply.statements],
        "rows": [_read(row, _ROW) | _billed(row) for row in reply.attempts],
    }
    return json.dumps(kept, default=str)


@dataclass(frozen=True, slots=True)
class Again:
    """Makes a reply of what was kept of it."""

    task: Task
    fleet: Fleet
    bill: Callable[[Sequence[Row]], Receipt]

    def reply(self, body: str) -> Reply:
        """The reply.

        Raises:
            ValueError: Another version of Tierwise kept it, or it does not fit the task's output schema.
        """
        kept: dict[str, Any] = json.loads(body)
        if kept["version"] != _VERSION:
            raise ValueError(f"it is kept in form {kept['version']}, and this version of Tierwise knows {_VERSION}")
        outcome = self._outcome(kept)
        typed = self.task.output_schema is not None and not outcome.tool_calls
        return Reply(
            outcome.text,
            output=parse_output(self.task.output_schema, outcome.text) if typed else None,
            tool_calls=outcome.tool_calls,
            status=kept["status"],
            decision=_decision(kept["decision"]),
            receipt=self.bill([Row(**_unbilled(row)) for row in kept["rows"]]),
            run_id=kept["run_id"],
            statements=tuple(Stated(text, data) for text, data in kept["statements"]),
            outcome=outcome,
            replayed=True,
        )

    def _outcome(self, kept: dict[str, Any]) -> Outcome:
        model, tier, purpose = kept["asked"]
        return Outcome(
            Attempt(self.task, self._model(model), tier, purpose=purpose),
            **_unbilled(kept["outcome"]),
            tool_calls=tuple(ToolCall(**call) for call in kept["tool_calls"]),
            verdict=None if kept["verdict"] is None else Verdict(**kept["verdict"]),
        )

    def _model(self, key: str) -> ModelSpec:
        try:
            return self.fleet.find(key)
        except UnknownNameError:  # the fleet has changed since
            return ModelSpec(key)


def _decision(kept: dict[str, Any]) -> Decision:
    changed: dict[str, Any] = {"adjusted": tuple(kept["adjusted"]), "cache_loss": _usd(kept["cache_loss"])}
    return Decision(**(kept | changed))


def _read(value: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _billed(value: Outcome | Row) -> dict[str, Any]:
    return {"usage": None if value.usage is None else asdict(value.usage), "cost": _text(value.cost)}


def _unbilled(kept: dict[str, Any]) -> dict[str, Any]:
    usage = kept["usage"]
    return kept | {"usage": None if usage is None else Usage(**usage), "cost": _usd(kept["cost"])}


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else str(usd)


def _usd(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
