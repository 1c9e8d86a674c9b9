"""Advances a flow, answers its notes and holds it to the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from tierwise.attempt import Attempt, Outcome, Show
from tierwise.errors import FlowError
from tierwise.flow import Flow, Note
from tierwise.record import Record

__all__ = ["Steps"]

T = TypeVar("T")


class Steps(Generic[T]):
    """Advances a flow, answers its notes and holds it to the rules.

    Attributes:
        result: What the flow returned, once `advance` has given `None`.
    """

    result: T

    def __init__(self, flow: Flow[T], record: Record) -> None:
        self._flow = flow
        self._record = record
        self.committed: Outcome | None = None

    def advance(self, outcomes: tuple[Outcome, ...] | None = None) -> tuple[Attempt, ...] | None:
        """Sends what came back and gives the next calls to make; `None` at the flow's end.

        Raises:
            FlowError: After a call that was shown, the flow asks for another, or returns something else.
        """
        for outcome in outcomes or ():
            if outcome.committed and self.committed is None:
                self.committed = outcome
        try:
            step = next(self._flow) if outcomes is None else self._flow.send(outcomes)
            attempts = self._attempts(step)
            while not attempts:
                step = self._flow.send(())
                attempts = self._attempts(step)
        except StopIteration as stop:
            self.result = self._returned(stop.value)
            return None
        if self.committed is not None:
            raise FlowError("a committed outcome is what the flow returns, at once; it asked for another call")
        if len(attempts) > 1 and any(a.show != Show.HOLD for a in attempts):
            raise FlowError("calls made side by side must be HOLD")
        return attempts

    def _returned(self, result: T) -> T:
        shown = self.committed
        if shown is None:
            return result
        if not isinstance(result, Outcome) or result.attempt.call_id != shown.attempt.call_id:
            raise FlowError("a committed outcome is what the flow returns, at once; it returned something else")
        return result

    def close(self) -> None:
        """Ends the flow wherever it stands."""
        self._flow.close()

    def _attempts(self, step: Sequence[Attempt | Note]) -> tuple[Attempt, ...]:
        """The calls that a step asks for; what it notes is written down."""
        attempts: list[Attempt] = []
        for item in step:
            if isinstance(item, Attempt):
                attempts.append(item)
            else:
                self._record.take(item)
        return tuple(attempts)
