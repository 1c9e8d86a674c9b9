"""May this call go now? A limit reserves before a call and settles after it."""

from __future__ import annotations

from typing import Protocol

from tierwise.flow import Attempt, Outcome

__all__ = ["Limit", "Reservation"]


class Reservation(Protocol):
    """What a limit has set aside for one call."""

    def settle(self, outcome: Outcome) -> None:
        """Replaces what was set aside by what the call took; called once, however the call ended."""
        ...


class Limit(Protocol):
    """Refuses calls. A refusal is sent to the flow as a failed outcome that cost nothing, so that it falls back."""

    def reserve(self, attempt: Attempt) -> Reservation:
        """Sets aside what the call may take.

        Raises:
            LimitError: The call may not go now.
        """
        ...
