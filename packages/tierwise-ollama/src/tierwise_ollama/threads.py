"""The sync face of async code: each call runs in an event loop of its own, in a thread of its own.

So there is one implementation of limits of time and of closing, the caller may be inside a running loop (a notebook),
and nothing outlives the call. An interrupt in the waiting thread cancels the call.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from anyio import Lock
    from anyio.from_thread import BlockingPortal

__all__ = ["opened", "run"]

P = ParamSpec("P")
T = TypeVar("T")


def run(function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls an async function and waits for what it returns."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        return _result(portal.start_task_soon(lambda: function(*args, **kwargs)))


@contextmanager
def opened(manager: AbstractAsyncContextManager[AsyncIterator[T]]) -> Generator[Iterator[T]]:
    """An async context manager that gives an async iterator, as a context manager that gives an iterator."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_in_turn(manager)) as (items, turn):
        yield _each(portal, items, turn)


@asynccontextmanager
async def _in_turn(manager: AbstractAsyncContextManager[T]) -> AsyncGenerator[tuple[T, Lock]]:
    """What the manager gives, and who may use it: an interrupted wait has to end before the manager can close."""
    from anyio import Lock

    turn = Lock()
    async with manager as items:
        try:
            yield items, turn
        finally:
            await turn.acquire()


def _each(portal: BlockingPortal, items: AsyncIterator[T], turn: Lock) -> Generator[T]:
    async def following() -> tuple[T, ...]:
        async with turn:
            async for item in items:
                return (item,)
            return ()

    while item := _result(portal.start_task_soon(following)):
        yield item[0]


def _result(future: Future[T]) -> T:
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
