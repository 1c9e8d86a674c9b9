"""What reached the provider, and what it billed: the truth against which receipts are tested."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from tierwise.testing.provider.script import Request

__all__ = ["RecordedCall", "Recorder"]


@dataclass(frozen=True, kw_only=True)
class RecordedCall(Request):
    """A request that reached the provider, and how it went.

    Attributes:
        status: The HTTP status sent, or `None` if nothing was.
        completed: The whole scripted answer was written, an error answer included.
        client_closed: The client hung up before the end.
        billed_input: Prompt tokens billed. A prompt is billed when the first byte of its answer's body leaves.
        billed_output: Generated tokens billed. A stream bills each chunk as it leaves, any other answer all at once.
        started: The position of the request's start in the order of all starts and ends.
        ended: The position of its end in the same order; `None` while it is in flight.
    """

    status: int | None = None
    completed: bool = False
    client_closed: bool = False
    billed_input: int = 0
    billed_output: int = 0
    started: int = 0
    ended: int | None = None


class Recorder:
    """A thread-safe list of recorded calls. Every change is visible before the byte that a client could see it by."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rows: dict[int, RecordedCall] = {}
        self._probes: set[int] = set()
        self._open: set[int] = set()
        """The calls in flight: they are counted at every change, and there may be thousands of rows."""
        self._order = itertools.count(1)
        self._peak = 0

    def start(self, request: Request, *, probe: bool) -> int:
        """Record a request that arrived and return its key. A probe is a request that no model answers."""
        values: dict[str, Any] = {item.name: getattr(request, item.name) for item in fields(Request)}
        with self._changed:
            key = next(self._order)
            self._rows[key] = RecordedCall(**values, started=key)
            (self._probes if probe else self._open).add(key)
            self._peak = max(self._peak, len(self._open))
            self._changed.notify_all()
        return key

    def answer(self, key: int, status: int) -> None:
        """Record the HTTP status that is about to be sent."""
        self._update(key, lambda row: replace(row, status=status))

    def bill(self, key: int, *, input_tokens: int, output_tokens: int) -> None:
        """Add tokens to what a call costs."""
        self._update(
            key,
            lambda row: replace(
                row, billed_input=row.billed_input + input_tokens, billed_output=row.billed_output + output_tokens
            ),
        )

    def end(self, key: int, *, completed: bool = False, client_closed: bool = False) -> None:
        """Record the end of a call. A later end wins: the last write may fail after it was announced."""
        with self._changed:
            position = next(self._order)
            self._open.discard(key)
            self._update(
                key, lambda row: replace(row, completed=completed, client_closed=client_closed, ended=position)
            )

    def rows(self, *, probes: bool = False) -> list[RecordedCall]:
        """The calls in the order of their arrival, or the probes."""
        with self._changed:
            return [row for key, row in self._rows.items() if (key in self._probes) == probes]

    @property
    def open_calls(self) -> int:
        """How many calls are in flight."""
        with self._changed:
            return len(self._open)

    @property
    def peak_open_calls(self) -> int:
        """The most calls that were in flight at once."""
        with self._changed:
            return self._peak

    def clear(self) -> None:
        """Forget all rows. Calls in flight are no longer recorded."""
        with self._changed:
            self._rows.clear()
            self._probes.clear()
            self._open.clear()
            self._peak = 0
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition on the records holds, for at most `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def _update(self, key: int, change: Callable[[RecordedCall], RecordedCall]) -> None:
        with self._changed:
            if key in self._rows:
                self._rows[key] = change(self._rows[key])
                self._changed.notify_all()
