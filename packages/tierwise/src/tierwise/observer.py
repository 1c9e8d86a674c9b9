"""Who is told what a run does, as it does it. What an observer raises is logged, and never reaches a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar

from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends.base import Backend
from tierwise.errors import ConfigError
from tierwise.flow import Note
from tierwise.ledger.receipt import Receipt
from tierwise.ledger.rows import Row
from tierwise.task import Task

if TYPE_CHECKING:
    from tierwise.reply import Reply

__all__ = ["UNWATCHED", "AsyncPieces", "Ending", "Observer", "Pieces", "Unwatched", "Watch", "shielded"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """What came of a run."""

    receipt: Receipt
    reply: Reply | None = None
    """`None` if there is no answer."""
    error: BaseException | None = None
    """What the run raised; a `GeneratorExit` where the consumer of a stream left early."""


class Watch(Protocol):
    """Sees one run. It must not wait, and may be told of calls by several threads at once."""

    def began(self) -> None:
        """The run begins."""
        ...

    def noted(self, note: Note) -> None:
        """Its flow said something for the record: who tries first, a verdict, a fallback, an escalation."""
        ...

    def calling(self, attempt: Attempt, backend: Backend, *, streamed: bool) -> AbstractContextManager[object]:
        """What a call's backend works in. Entered once for a call that is made whole.

        For a streamed call it is asked for, entered and left once for each piece: the opening, each chunk, the closing.
        So it is never open while the consumer has the chunk, who may close the stream from somewhere else.
        """
        ...

    def kept(self, row: Row, outcome: Outcome | None) -> None:
        """A call's row changed. The outcome is there once, when the call ends; a call that was refused has none."""
        ...

    def ended(self, ending: Ending) -> None:
        """The run is over."""
        ...


class Observer(Protocol):
    """Watches runs."""

    def watch(self, task: Task, run_id: str) -> Watch:
        """Sees the run that is made now, in the caller's thread and context."""
        ...


class Unwatched:
    """Sees nothing."""

    def watch(self, task: Task, run_id: str) -> Watch:
        """See `Observer`."""
        return self

    def began(self) -> None:
        """See `Watch`."""

    def noted(self, note: Note) -> None:
        """See `Watch`."""

    def calling(self, attempt: Attempt, backend: Backend, *, streamed: bool) -> AbstractContextManager[object]:
        """See `Watch`."""
        return _NOTHING

    def kept(self, row: Row, outcome: Outcome | None) -> None:
        """See `Watch`."""

    def ended(self, ending: Ending) -> None:
        """See `Watch`."""


_NOTHING = nullcontext()

UNWATCHED = Unwatched()
"""The observer, and the watch, of a router that has none."""


def shielded(observer: Observer | None) -> Observer:
    """An observer whose errors are logged, each class of them once, and go no further.

    Raises:
        ConfigError: It is none.
    """
    if observer is None:
        return UNWATCHED
    if not callable(getattr(observer, "watch", None)):
        raise ConfigError(
            f"telemetry={observer!r} is no observer: give Telemetry(), or an object with watch(task, run_id)",
            setting="telemetry",
            value=observer,
        )
    return _Shielded(observer)


class _Shielded:
    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._logged: set[type[Exception]] = set()

    def watch(self, task: Task, run_id: str) -> Watch:
        made = self.safely(lambda: self._observer.watch(task, run_id))
        return UNWATCHED if made is None else _ShieldedWatch(made, self)

    def safely(self, does: Callable[[], T]) -> T | None:
        try:
            return does()
        except Exception as error:  # noqa: BLE001 - what only looks on must not break what it looks at
            self._log(error)
            return None

    def _log(self, error: Exception) -> None:
        if type(error) in self._logged:
            return
        self._logged.add(type(error))
        import logging

        logging.getLogger("tierwise").warning(
            "%s failed; runs go on without it. This is logged once for each class of error.",
            type(self._observer).__name__,
            exc_info=error,
        )


class _ShieldedWatch:
    def __init__(self, watch: Watch, shield: _Shielded) -> None:
        self._watch = watch
        self._shield = shield

    def began(self) -> None:
        self._shield.safely(lambda: self._watch.began())

    def noted(self, note: Note) -> None:
        self._shield.safely(lambda: self._watch.noted(note))

    def calling(self, attempt: Attempt, backend: Backend, *, streamed: bool) -> AbstractContextManager[object]:
        made = self._shield.safely(lambda: self._watch.calling(attempt, backend, streamed=streamed))
        return _NOTHING if made is None else _ShieldedContext(made, self._shield)

    def kept(self, row: Row, outcome: Outcome | None) -> None:
        self._shield.safely(lambda: self._watch.kept(row, outcome))

    def ended(self, ending: Ending) -> None:
        self._shield.safely(lambda: self._watch.ended(ending))


class _ShieldedContext:
    def __init__(self, context: AbstractContextManager[object], shield: _Shielded) -> None:
        self._context = context
        self._shield = shield

    def __enter__(self) -> None:
        self._shield.safely(lambda: self._context.__enter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shield.safely(lambda: self._context.__exit__(kind, error, traceback))


Around = Callable[[], AbstractContextManager[object]]


class Pieces:
    """A streamed call, each piece of which is done inside a context of its own: the opening, each chunk, the closing.

    Args:
        opening: The call.
        around: Makes the context.
    """

    def __init__(self, opening: AbstractContextManager[Iterator[Chunk]], around: Around) -> None:
        self._opening = opening
        self._around = around

    def __enter__(self) -> Iterator[Chunk]:
        with self._around():
            self._chunks = iter(self._opening.__enter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        with self._around():
            return self._opening.__exit__(kind, error, traceback)

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        with self._around():
            return next(self._chunks)


class AsyncPieces:
    """The async twin of `Pieces`."""

    def __init__(self, opening: AbstractAsyncContextManager[AsyncIterator[Chunk]], around: Around) -> None:
        self._opening = opening
        self._around = around

    async def __aenter__(self) -> AsyncIterator[Chunk]:
        with self._around():
            self._chunks = aiter(await self._opening.__aenter__())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        with self._around():
            return await self._opening.__aexit__(kind, error, traceback)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        with self._around():
            return await anext(self._chunks)
