"""The four drivers of flows, and the only place in which a backend is called.

`run` and `arun` drive a flow to its end. `opened` and `aopened` are context managers, because consumers stop early:
they give the chunks that may be shown, and close flow and call when the consumer leaves. The rules are in
`tierwise.run`, `tierwise.steps` and `tierwise.passage`; what is here differs between sync and async by nothing but who
waits.

asyncio and thread pools are imported where they are used: together they would take a third of the core's import time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, closing
from contextvars import copy_context
from types import TracebackType
from typing import TypeVar, cast

from tierwise.attempt import Attempt, Chunk, Outcome, Show
from tierwise.backends.base import replay
from tierwise.effects import Paused
from tierwise.flow import Flow
from tierwise.observer import UNWATCHED, AsyncPieces, Pieces
from tierwise.passage import Passage
from tierwise.run import Admitted, Run, Ticket, commits
from tierwise.steps import Steps

__all__ = ["AsyncOpened", "Opened", "aopened", "arun", "opened", "run"]

T = TypeVar("T")


def run(flow: Flow[T], run: Run) -> T:
    """Drives a flow to its end and gives what it returns. Needs no event loop, and may be called inside one."""
    steps = Steps(flow, run.record)
    try:
        attempts = steps.advance()
        while attempts is not None:
            attempts = steps.advance(_calls(attempts, run))
        return steps.result
    finally:
        steps.close()


async def arun(flow: Flow[T], run: Run) -> T:
    """The async twin of `run`. Cancelling it closes the calls that are under way."""
    steps = Steps(flow, run.record)
    try:
        attempts = steps.advance()
        while attempts is not None:
            attempts = steps.advance(await _acalls(attempts, run))
        return steps.result
    finally:
        steps.close()


class Opened:
    """The chunks of a run that may be shown. Iterate it; `outcome` is there at its end."""

    outcome: Outcome

    def __init__(self, flow: Flow[Outcome], run: Run) -> None:
        self._chunks = self._run(flow, run)

    def __iter__(self) -> Iterator[Chunk]:
        return self._chunks

    def close(self) -> None:
        """Ends the run and closes its call."""
        self._chunks.close()

    def _run(self, flow: Flow[Outcome], run: Run) -> Generator[Chunk]:
        steps = Steps(flow, run.record)
        try:
            attempts = steps.advance()
            while attempts is not None:
                if attempts[0].show == Show.HOLD:
                    outcomes = _calls(attempts, run)
                else:
                    outcomes = ((yield from _stream(attempts[0], run, shown=True)),)
                attempts = steps.advance(outcomes)
            self.outcome = steps.result
            if steps.committed is None:
                yield replay(self.outcome)
        finally:
            steps.close()


class AsyncOpened:
    """The async twin of `Opened`."""

    outcome: Outcome

    def __init__(self, flow: Flow[Outcome], run: Run) -> None:
        self._chunks = self._run(flow, run)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self._chunks

    async def aclose(self) -> None:
        """Ends the run and closes its call."""
        await self._chunks.aclose()

    async def _run(self, flow: Flow[Outcome], run: Run) -> AsyncGenerator[Chunk]:
        steps = Steps(flow, run.record)
        try:
            attempts = steps.advance()
            while attempts is not None:
                if attempts[0].show == Show.HOLD:
                    outcomes = await _acalls(attempts, run)
                else:
                    stream = _AsyncStream(attempts[0], run, shown=True)
                    try:
                        async for chunk in stream.chunks:
                            yield chunk
                    finally:
                        await stream.chunks.aclose()
                    outcomes = (stream.outcome,)
                attempts = steps.advance(outcomes)
            self.outcome = steps.result
            if steps.committed is None:
                yield replay(self.outcome)
        finally:
            steps.close()


def opened(flow: Flow[Outcome], run: Run) -> AbstractContextManager[Opened]:
    """Drives a flow and gives the chunks that may be shown; leaving the context closes flow and call."""
    return closing(Opened(flow, run))


def aopened(flow: Flow[Outcome], run: Run) -> AbstractAsyncContextManager[AsyncOpened]:
    """The async twin of `opened`."""
    return aclosing(AsyncOpened(flow, run))


def _calls(attempts: tuple[Attempt, ...], run: Run) -> tuple[Outcome, ...]:
    if len(attempts) == 1:
        return (_one(attempts[0], run),)
    from concurrent.futures import ThreadPoolExecutor

    admitted = run.admit_all(attempts)
    try:
        with ThreadPoolExecutor(len(admitted), thread_name_prefix="tierwise") as pool:
            futures = [pool.submit(copy_context().run, _call, ticket, run) for ticket in admitted]
    except RuntimeError as error:
        # The machine has no thread left: what the pool could not start never runs, and so never settles its call.
        run.withdraw(admitted, error)
        raise
    return tuple(future.result() for future in futures)


async def _acalls(attempts: tuple[Attempt, ...], run: Run) -> tuple[Outcome, ...]:
    if len(attempts) == 1:
        return (await _aone(attempts[0], run),)
    import asyncio

    admitted = await run.aadmit_all(attempts)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_acall(ticket, run)) for ticket in admitted]
    except BaseExceptionGroup as errors:
        error = _first(errors)
        raise error from error.__cause__
    finally:
        # A task that is cancelled before its first step never runs, and so never settles its call.
        await run.awithdraw(admitted, asyncio.CancelledError())
    return tuple(task.result() for task in tasks)


def _one(attempt: Attempt, run: Run) -> Outcome:
    if attempt.show == Show.GATED:
        return _drained(_stream(attempt, run, shown=False))
    return _call(run.admit(attempt), run)


async def _aone(attempt: Attempt, run: Run) -> Outcome:
    if attempt.show != Show.GATED:
        return await _acall(await run.aadmit(attempt), run)
    stream = _AsyncStream(attempt, run, shown=False)
    async with aclosing(stream.chunks) as chunks:
        async for _ in chunks:
            pass
    return stream.outcome


def _call(admitted: Admitted, run: Run) -> Outcome:
    outcome = _tried(admitted, run)
    while outcome.error is not None and (again := run.readmit(outcome)) is not None:
        outcome = _tried(again, run)
    return outcome


def _tried(admitted: Admitted, run: Run) -> Outcome:
    ticket = run.resume(admitted) if isinstance(admitted, Paused) else admitted
    if isinstance(ticket, Outcome):
        return ticket
    try:
        return _made(ticket, run)
    finally:
        run.release(ticket)


def _made(ticket: Ticket, run: Run) -> Outcome:
    try:
        run.ledger.begin(ticket.row, ticket.attempt.task)
        with run.watch.calling(ticket.attempt, ticket.backend, streamed=False):
            outcome = ticket.backend.call(ticket.attempt)
    except BaseException as error:  # noqa: BLE001 - settled, then raised again unless it is a failure
        return run.fail(ticket, error)
    outcome = run.settle(ticket, outcome)
    # A thread cannot be cancelled: an answer that comes too late is paid for, and not delivered.
    run.remaining()
    return commits(outcome)


async def _acall(admitted: Admitted, run: Run) -> Outcome:
    outcome = await _atried(admitted, run)
    while outcome.error is not None and (again := await run.areadmit(outcome)) is not None:
        outcome = await _atried(again, run)
    return outcome


async def _atried(admitted: Admitted, run: Run) -> Outcome:
    ticket = await run.aresume(admitted) if isinstance(admitted, Paused) else admitted
    if isinstance(ticket, Outcome):
        return ticket
    try:
        return await _amade(ticket, run)
    finally:
        await run.arelease(ticket)


async def _amade(ticket: Ticket, run: Run) -> Outcome:
    try:
        await run.ledger.abegin(ticket.row, ticket.attempt.task)
        with run.watch.calling(ticket.attempt, ticket.backend, streamed=False):
            outcome = await _in_time(run, lambda: ticket.backend.acall(ticket.attempt))
    except BaseException as error:  # noqa: BLE001 - settled, then raised again unless it is a failure
        return run.fail(ticket, error)
    return commits(run.settle(ticket, outcome))


def _stream(attempt: Attempt, run: Run, *, shown: bool) -> Generator[Chunk, None, Outcome]:
    outcome = yield from _admitted(run.admit(attempt), run, shown=shown)
    while outcome.error is not None and (again := run.readmit(outcome)) is not None:
        outcome = yield from _admitted(again, run, shown=shown)
    return outcome


def _admitted(ticket: Ticket | Outcome, run: Run, *, shown: bool) -> Generator[Chunk, None, Outcome]:
    if isinstance(ticket, Outcome):
        return ticket
    try:
        rest, outcome = yield from _streamed(ticket, run, shown=shown)
    finally:
        run.release(ticket)
    yield from rest
    return outcome


def _streamed(ticket: Ticket, run: Run, *, shown: bool) -> Generator[Chunk, None, tuple[Sequence[Chunk], Outcome]]:
    """The chunks while they come; returns those that may be shown after the stream's end, and the outcome."""
    passage = Passage(ticket, run, shown=shown)
    try:
        run.ledger.begin(ticket.row, ticket.attempt.task)
        with _watched(ticket, run, ticket.backend.open(ticket.attempt)) as chunks:
            for chunk in chunks:
                yield from passage.feed(chunk)
                if passage.aborted:
                    break
    except GeneratorExit:
        passage.left()
        raise
    except BaseException as error:  # noqa: BLE001 - settled, then raised again unless it is a failure
        return (), passage.broken(error)
    return passage.end()


class _AsyncStream:
    """The async twin of `_stream`: an async generator returns nothing, so the outcome lies beside it."""

    outcome: Outcome

    def __init__(self, attempt: Attempt, run: Run, *, shown: bool) -> None:
        self.chunks = self._run(attempt, run, shown)
        self._rest: Sequence[Chunk] = ()

    async def _run(self, attempt: Attempt, run: Run, shown: bool) -> AsyncGenerator[Chunk]:
        # One generator for the whole way: each one around another would take its time at each chunk.
        ticket: Ticket | Outcome | None = await run.aadmit(attempt)
        while ticket is not None:
            rest: Sequence[Chunk] = ()
            if isinstance(ticket, Outcome):
                self.outcome = ticket
            else:
                passage = Passage(ticket, run, shown=shown)
                try:
                    await run.ledger.abegin(ticket.row, ticket.attempt.task)
                    async with _atimed(run, _awatched(ticket, run, ticket.backend.aopen(ticket.attempt))) as chunks:
                        async for chunk in chunks:
                            for ready in passage.feed(chunk):
                                yield ready
                            if passage.aborted:
                                break
                except GeneratorExit:
                    passage.left()
                    raise
                except BaseException as error:  # noqa: BLE001 - settled, then raised again unless it is a failure
                    self.outcome = passage.broken(error)
                else:
                    rest, self.outcome = passage.end()
                finally:
                    await run.arelease(ticket)
            for ready in rest:
                yield ready
            ticket = None if self.outcome.error is None else await run.areadmit(self.outcome)


def _watched(
    ticket: Ticket, run: Run, opening: AbstractContextManager[Iterator[Chunk]]
) -> AbstractContextManager[Iterator[Chunk]]:
    if run.watch is UNWATCHED:
        return opening
    return Pieces(opening, lambda: run.watch.calling(ticket.attempt, ticket.backend, streamed=True))


def _awatched(
    ticket: Ticket, run: Run, opening: AbstractAsyncContextManager[AsyncIterator[Chunk]]
) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
    if run.watch is UNWATCHED:
        return opening
    return AsyncPieces(opening, lambda: run.watch.calling(ticket.attempt, ticket.backend, streamed=True))


def _atimed(
    run: Run, opening: AbstractAsyncContextManager[AsyncIterator[Chunk]]
) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
    return opening if run.task.deadline is None else _InTime(opening, run)


class _InTime:
    """A streamed call, with the run's deadline over its opening and over the wait for each chunk."""

    def __init__(self, opening: AbstractAsyncContextManager[AsyncIterator[Chunk]], run: Run) -> None:
        self._opening = opening
        self._run = run

    async def __aenter__(self) -> AsyncIterator[Chunk]:
        self._chunks = await _in_time(self._run, self._opening.__aenter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._opening.__aexit__(kind, error, traceback)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        return await _in_time(self._run, self._chunks.__anext__)


async def _in_time(run: Run, make: Callable[[], Awaitable[T]]) -> T:
    """Awaits what `make` gives, under the run's deadline.

    Raises:
        DeadlineError: It passed; what was awaited is cancelled.
    """
    left = run.remaining()
    if left is None:
        return await make()
    import asyncio

    limit = asyncio.timeout(left)
    try:
        async with limit:
            return await make()
    except TimeoutError:
        if limit.expired():
            raise run.late() from None
        raise


def _drained(stream: Generator[Chunk, None, T]) -> T:
    while True:
        try:
            next(stream)
        except StopIteration as stop:
            return stop.value


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error = errors.exceptions[0]
    return _first(cast("BaseExceptionGroup[BaseException]", error)) if isinstance(error, BaseExceptionGroup) else error
