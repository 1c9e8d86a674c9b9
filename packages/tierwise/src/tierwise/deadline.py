"""What is left of the time that a task has."""

from __future__ import annotations

from collections.abc import Callable

from tierwise.errors import DeadlineError

__all__ = ["Deadline"]


class Deadline:
    """The deadline of one run.

    Args:
        seconds: How long the run may take from now; `None` for as long as it likes.
        clock: Gives monotonic seconds.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._ends = None if seconds is None else clock() + seconds

    def remaining(self) -> float | None:
        """Seconds that are left; `None` if there is no deadline.

        Raises:
            DeadlineError: None are left.
        """
        if self._ends is None:
            return None
        left = self._ends - self._clock()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> DeadlineError:
        """The error that says that it passed."""
        return DeadlineError(self._seconds or 0.0)
