"""What a run writes down: one row for each call, verdicts, statements, and the best answer so far."""

from __future__ import annotations

from decimal import Decimal

from tierwise.attempt import Attempt, Outcome, Purpose
from tierwise.context import Decision
from tierwise.flow import Decided, Judged, Moved, Note, Stated
from tierwise.ledger.base import Ledger
from tierwise.ledger.rows import Row
from tierwise.observer import Watch
from tierwise.values import evolve
from tierwise.verdict import Verdict

__all__ = ["Record"]

DELIVERED: frozenset[Purpose] = frozenset({"answer", "synthesis"})
"""What a call can be for whose answer the user gets."""

HELPERS: frozenset[Purpose] = frozenset({"judge", "classify", "check", "plan"})
"""What a call can be for that is no answer to what the user asked."""

_ZERO = Decimal(0)
_UNDECIDED = Decision("")


class Record:
    """The record of one run. Whoever watches is told of each entry, and the ledger keeps it."""

    def __init__(self, run_id: str, ledger: Ledger, watch: Watch) -> None:
        self.statements: list[Stated] = []
        self._run_id = run_id
        self._ledger = ledger
        self._watch = watch
        self._rows: dict[str, Row] = {}
        self._drafts: dict[str, Outcome] = {}
        """What nothing has rejected so far, by the call."""
        self._decision = _UNDECIDED

    @property
    def rows(self) -> tuple[Row, ...]:
        """One row for each call so far, in the order in which they began."""
        return tuple(self._rows.values())

    @property
    def best(self) -> Outcome | None:
        """The best answer that nothing rejected: the last accepted one, or else the last."""
        found = list(self._drafts.values())
        accepted = [o for o in found if o.verdict is not None and o.verdict.accepted]
        return next(reversed(accepted or found), None)

    def asked(self, attempt: Attempt, call_id: str, at: float) -> Row:
        """The row of a call that asks to go; it is not kept yet.

        Args:
            attempt: The call.
            call_id: Its id.
            at: Seconds since 1970.
        """
        task = attempt.task
        return Row(
            call_id,
            self._run_id,
            started_at=at,
            session=task.session,
            job=task.job,
            node=task.node,
            role=task.role,
            decision_tier=self._decision.tier,
            decision_rule=self._decision.rule,
            tier=attempt.tier,
            purpose=attempt.purpose,
            model=attempt.model.id,
            reason=attempt.reason,
            typed=task.output_schema is not None,
            tools=len(task.tools),
        )

    def began(self, row: Row) -> None:
        """The call goes."""
        self._rows[row.call_id] = row

    def refused(self, row: Row, error: BaseException) -> None:
        """The call does not go."""
        self._keep(evolve(_failed(row, error), state="refused", cost=_ZERO, cost_source="refused"))

    def settled(self, row: Row, outcome: Outcome, source: str) -> None:
        """The call ended.

        Args:
            row: The call's.
            outcome: How it ended, with its cost.
            source: Where its price came from.
        """
        self._keep(_settled(row, outcome, source), outcome)

    def drafted(self, outcome: Outcome) -> None:
        """The call gave an answer, as far as it is one to what the user asked."""
        if outcome.ok and outcome.attempt.purpose not in HELPERS:
            self._drafts[outcome.attempt.call_id] = outcome

    def take(self, note: Note) -> None:
        """Writes down a note of the flow."""
        self._watch.noted(note)
        match note:
            case Judged():
                self._judge(note.outcome, note.verdict)
            case Decided():
                self._decision = note.decision
            case Stated():
                self.statements.append(note)
            case Moved():
                pass

    def _judge(self, outcome: Outcome, verdict: Verdict) -> None:
        call_id = outcome.attempt.call_id
        if verdict.rejected:
            self._drafts.pop(call_id, None)
        elif call_id in self._drafts:
            known = outcome.verdict is verdict
            self._drafts[call_id] = outcome if known else evolve(outcome, verdict=verdict)
        row = self._rows.get(call_id)
        if row is not None:
            self._keep(_judged(row, verdict))

    def deliver(self, outcome: Outcome | None) -> None:
        """Marks the call whose answer the user gets, if any, and unmarks every other that gave one."""
        delivered = None if outcome is None else outcome.attempt.call_id
        for row in self.rows:
            purpose = row.purpose
            if row.call_id == delivered:
                purpose = purpose if purpose in DELIVERED else "answer"
            elif purpose in DELIVERED and row.error_type is None:
                purpose = "draft"
            if purpose != row.purpose:
                self._keep(evolve(row, purpose=purpose))

    def _keep(self, row: Row, outcome: Outcome | None = None) -> None:
        self._rows[row.call_id] = row
        self._watch.kept(row, outcome)
        self._ledger.settle(row, outcome)


def _settled(row: Row, outcome: Outcome, source: str) -> Row:
    row = evolve(
        row,
        state="settled",
        answered_by=outcome.model,
        usage=outcome.usage,
        cost=outcome.cost,
        cost_source=source,
        latency=outcome.latency,
        first_token=outcome.first_token,
        finish_reason="aborted" if outcome.aborted else outcome.finish_reason,
        repaired=outcome.repaired,
        tool_calls=len(outcome.tool_calls) if outcome.error is None else None,
    )
    return row if outcome.error is None else _failed(row, outcome.error)


def _judged(row: Row, verdict: Verdict) -> Row:
    return evolve(
        row,
        verdict=verdict.result,
        verifier=verdict.verifier,
        evidence=verdict.evidence,
        score=verdict.score,
        threshold=verdict.threshold,
        calibrated=verdict.calibrated,
        conclusive=verdict.conclusive,
        quotes=verdict.quotes,
    )


def _failed(row: Row, error: BaseException) -> Row:
    from tierwise.backends.secrets import without_secrets

    return evolve(row, error_type=type(error).__name__, error=without_secrets(str(error)))
