"""A backend that answers as told: for tests of strategies, verifiers and of what is built on a router."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    asynccontextmanager,
    closing,
    contextmanager,
)
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends.base import Backend, replay
from tierwise.errors import BackendError, CallTimeoutError, ConfigError
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Price
from tierwise.task import Trust

__all__ = ["HANG", "ScriptedBackend", "Step", "Stream"]

_ANY = "*"
_WORD = re.compile(r"\s*\S+|\s+")


class _Hang:
    def __repr__(self) -> str:
        return "HANG"


HANG: Final = _Hang()
"""A call, or a point in a stream, that goes no further until it is cancelled or its time is over."""

Part: TypeAlias = "str | Chunk | BaseException | _Hang"


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer in these chunks. A text is a chunk of text; an error is raised where it stands.

    Args:
        parts: Texts, chunks and errors, in order.
    """

    parts: tuple[Part, ...]

    def __init__(self, *parts: Part) -> None:
        object.__setattr__(self, "parts", parts)


Step: TypeAlias = "str | Outcome | Stream | BaseException | _Hang | Callable[[Attempt], Any]"
"""One answer: a text (streamed word by word), an outcome, a stream, an error, `HANG`, or a function that gives one."""


class ScriptedBackend(Backend):
    """Answers each model by its script, and records what it was asked.

    A script is one step or several; the last repeats. Whole calls and streamed ones take from the same script, and
    give the same answer.

    Args:
        scripts: Steps by the model's alias, id or name; `*` for all others.
        failures: The errors on which a flow may fall back; others are defects and propagate.
        trust: Where content goes that is given to it.
        price: What it costs.
    """

    def __init__(
        self,
        scripts: Mapping[str, Step | Sequence[Step]] | None = None,
        *,
        failures: tuple[type[Exception], ...] = (BackendError, OSError, TimeoutError),
        trust: Trust | None = None,
        price: Price | None = None,
    ) -> None:
        self.attempts: list[Attempt] = []
        """What was asked, in order."""
        self.open_calls = 0
        """How many calls, streamed or not, have begun and not ended."""
        self.peak_open_calls = 0
        """The most of them at once."""
        self.cut_calls = 0
        """How many calls were closed or cancelled before their end."""
        self._scripts: dict[str, deque[Step]] = {}
        self._failures = failures
        self._trust: Trust | None = trust
        self._price = price
        self._lock = threading.Lock()
        for model, steps in (scripts or {}).items():
            several = isinstance(steps, Sequence) and not isinstance(steps, str)
            self.on(model, *(cast("Sequence[Step]", steps) if several else [cast("Step", steps)]))

    def on(self, model: str, *steps: Step) -> None:
        """Scripts a model, in place of its earlier script.

        Args:
            model: Its alias, id or name; `*` for every model without a script.
            *steps: Its answers in order; the last repeats.

        Raises:
            ConfigError: There is no step.
        """
        if not steps:
            raise ConfigError(f"the script of {model!r} needs at least one step", setting="scripts", value=steps)
        self._scripts[model] = deque(steps)

    @property
    def asked(self) -> list[str]:
        """The keys of the models that were asked, in order."""
        return [attempt.model.key for attempt in self.attempts]

    def call(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        with self._counted() as call:
            return _whole(attempt, _waited(self._next(attempt), attempt, call))

    async def acall(self, attempt: Attempt) -> Outcome:
        """See `Backend`."""
        with self._counted() as call:
            return _whole(attempt, [chunk async for chunk in _awaited(self._next(attempt), call)])

    def open(self, attempt: Attempt) -> AbstractContextManager[Iterator[Chunk]]:
        """See `Backend`."""
        return self._opened(attempt)

    def aopen(self, attempt: Attempt) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """See `Backend`."""
        return self._aopened(attempt)

    def is_failure(self, error: Exception) -> bool:
        """See `Backend`."""
        return isinstance(error, self._failures)

    def trust(self, model: ModelSpec) -> Trust | None:
        """See `Backend`."""
        return self._trust

    def price(self, model: ModelSpec) -> Price | None:
        """See `Backend`."""
        return self._price

    @contextmanager
    def _opened(self, attempt: Attempt) -> Generator[Iterator[Chunk]]:
        with self._counted() as call, closing(_waited(self._next(attempt), attempt, call)) as chunks:
            yield chunks

    @asynccontextmanager
    async def _aopened(self, attempt: Attempt) -> AsyncGenerator[AsyncIterator[Chunk]]:
        with self._counted() as call:
            async with aclosing(_awaited(self._next(attempt), call)) as chunks:
                yield chunks

    def _next(self, attempt: Attempt) -> tuple[Part, ...]:
        names = (attempt.model.alias, attempt.model.id, attempt.model.name, _ANY)
        with self._lock:
            self.attempts.append(attempt)
            script = next((self._scripts[name] for name in names if name in self._scripts), None)
            if script is None:
                raise ConfigError(f"no script for {attempt.model.key!r}", setting="scripts", value=attempt.model.key)
            step = script.popleft() if len(script) > 1 else script[0]
        return _parts(attempt, step)

    @contextmanager
    def _counted(self) -> Generator[_Call]:
        call = _Call()
        with self._lock:
            self.open_calls += 1
            self.peak_open_calls = max(self.peak_open_calls, self.open_calls)
        try:
            yield call
        finally:
            with self._lock:
                self.open_calls -= 1
                self.cut_calls += not call.ended


@dataclass(slots=True)
class _Call:
    ended: bool = False
    """The script was played to its end, or to its error."""


def _parts(attempt: Attempt, step: Any) -> tuple[Part, ...]:
    """A step as the parts of a stream."""
    while callable(step):
        step = step(attempt)
    if isinstance(step, Stream):
        return step.parts
    if isinstance(step, str):
        return (*_WORD.findall(step), Chunk(finish_reason="stop"))
    if isinstance(step, Outcome):
        if step.error is not None:
            return (step.error,)
        return (*_WORD.findall(step.text), replay(step)._replace(text=""))
    if isinstance(step, BaseException | _Hang):
        return (step,)
    raise ConfigError(f"{step!r} is no step of a script", setting="scripts", value=step)


def _waited(parts: Iterable[Part], attempt: Attempt, call: _Call) -> Generator[Chunk]:
    for part in parts:
        if isinstance(part, _Hang):
            if attempt.timeout is None:
                raise ConfigError("HANG in a sync call needs a task with a deadline", setting="scripts", value=part)
            threading.Event().wait(attempt.timeout)
            raise CallTimeoutError(f"no answer within {attempt.timeout:g} s")
        yield _chunk(part, call)
    call.ended = True


async def _awaited(parts: Iterable[Part], call: _Call) -> AsyncGenerator[Chunk]:
    import asyncio

    for part in parts:
        if isinstance(part, _Hang):
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(0)
            yield _chunk(part, call)
    call.ended = True


def _chunk(part: str | Chunk | BaseException, call: _Call) -> Chunk:
    if isinstance(part, BaseException):
        call.ended = True
        raise part
    return Chunk(text=part) if isinstance(part, str) else part


def _whole(attempt: Attempt, chunks: Iterable[Chunk]) -> Outcome:
    """What a stream of these chunks comes to."""
    made = list(chunks)
    last: dict[str, Any] = {
        name: next((value for c in reversed(made) if (value := getattr(c, name)) is not None), None)
        for name in ("usage", "finish_reason", "model", "raw")
    }
    return Outcome(
        attempt,
        text="".join(c.text for c in made),
        thinking="".join(c.thinking for c in made),
        tool_calls=tuple(call for c in made for call in c.tool_calls),
        logprobs=tuple(x for c in made for x in c.logprobs) or None,
        **last,
    )
