"""Pieces that a call pushes, pulled one by one: CrewAI's LLMs stream by events, and flows read streams."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from traceback import walk_tb
from typing import Any, Generic, TypeAlias, TypeVar, cast

__all__ = ["Put", "apulled", "pulled"]

P = TypeVar("P")

Put: TypeAlias = Callable[[P], None]
"""Hands a piece over."""


def pulled(work: Callable[[Put[P]], P]) -> Generator[P]:
    """The pieces that `work` puts, as it puts them, then the one that it returns.

    It runs in a thread of its own, with the caller's context variables, and waits at each piece until the next is asked
    for. Closing the generator ends it there, by an error that no handler of a provider's failures takes for one: the
    call unwinds, and closes its connection on the way.
    """
    return iter(_Relay(work))


async def apulled(work: Callable[[Put[P]], Awaitable[P]]) -> AsyncGenerator[P]:
    """The async twin of `pulled`: `work` runs in a task of its own, and closing the generator cancels it."""
    pieces: asyncio.Queue[P | None] = asyncio.Queue()
    task = asyncio.ensure_future(work(pieces.put_nowait))
    task.add_done_callback(lambda _: pieces.put_nowait(None))
    try:
        while (piece := await pieces.get()) is not None:
            yield piece
        yield task.result()
    finally:
        task.cancel()
        await asyncio.wait([task])


class _Closed(BaseException):
    """Ends a call that nobody reads any more."""


class _Relay(Generic[P]):
    def __init__(self, work: Callable[[Put[P]], P]) -> None:
        self._work = work
        self._pieces: SimpleQueue[P | None] = SimpleQueue()
        self._last: Future[P] = Future()
        self._asked = threading.Semaphore(0)
        self._closed = False

    def __iter__(self) -> Generator[P]:
        thread = threading.Thread(target=copy_context().run, args=(self._run,), name="tierwise", daemon=True)
        thread.start()
        resting = False
        try:
            while (piece := self._pieces.get()) is not None:
                resting = True
                yield piece
                resting = False
                self._asked.release()
            resting = True
            yield self._last.result()
        finally:
            self._closed = True
            self._asked.release()
            if resting:  # else it waits for its provider, and sees at its next piece that it is closed
                thread.join()

    def _run(self) -> None:
        try:
            self._last.set_result(self._work(self._put))
        except _Closed as closed:
            _let_go(closed)
            return
        except BaseException as error:  # noqa: BLE001 - raised again where the pieces are read
            self._last.set_exception(error)
        self._pieces.put(None)

    def _put(self, piece: P) -> None:
        self._pieces.put(piece)
        self._asked.acquire()
        if self._closed:
            raise _Closed


def _let_go(closed: _Closed) -> None:
    """Closes the streams that the call was reading: clients' streams refer to themselves, and would linger open."""
    for frame, _ in walk_tb(closed.__traceback__):
        for local in list(frame.f_locals.values()):
            close = getattr(cast("Any", local), "close", None) if isinstance(local, Iterable) else None
            if callable(close):
                close()
