"""What an admission asks of its driver: to ask the state, to wait, to ask the user.

An admission is a generator, as a flow is: it yields effects, and is sent what came of each. So sync and async differ by
nothing but who performs them.
"""

from __future__ import annotations

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from tierwise.errors import ConfigError, LimitError
from tierwise.state import Claim, Denied, Granted, Observed, State, Taken

if TYPE_CHECKING:
    from tierwise.deadline import Deadline

__all__ = [
    "Ask",
    "Effect",
    "Effects",
    "Lift",
    "Pause",
    "Paused",
    "Reserve",
    "Settle",
    "Sleep",
    "abegun",
    "aperform",
    "begun",
    "perform",
    "withdrawn",
]

T = TypeVar("T")


class Effect(ABC):
    """Something that takes time."""

    __slots__ = ()

    @abstractmethod
    def perform(self, state: State) -> Any:
        """Does it, and waits."""

    @abstractmethod
    def aperform(self, state: State) -> Awaitable[Any]:
        """The async twin of `perform`."""


Effects: TypeAlias = Generator[Effect, Any, T]


@dataclass(slots=True)
class Reserve(Effect):
    """Sets aside what a call may take."""

    call_id: str
    claims: Sequence[Claim]
    lease: float
    least: int
    most: int
    wait: float = 0.0

    def perform(self, state: State) -> Granted | Denied:
        """See `Effect`."""
        return state.reserve(
            self.call_id, self.claims, lease=self.lease, least=self.least, most=self.most, wait=self.wait
        )

    def aperform(self, state: State) -> Awaitable[Granted | Denied]:
        """See `Effect`."""
        return state.areserve(
            self.call_id, self.claims, lease=self.lease, least=self.least, most=self.most, wait=self.wait
        )


@dataclass(slots=True)
class Settle(Effect):
    """Replaces what was set aside by what was taken."""

    call_id: str
    claims: Sequence[Claim]
    taken: Sequence[Taken]
    observed: Observed | None

    def perform(self, state: State) -> None:
        """See `Effect`."""
        state.settle(self.call_id, self.claims, self.taken, self.observed)

    def aperform(self, state: State) -> Awaitable[None]:
        """See `Effect`."""
        return state.asettle(self.call_id, self.claims, self.taken, self.observed)


@dataclass(slots=True)
class Lift(Effect):
    """Raises the cap of an account."""

    key: str
    cap: int
    keep: float | None

    def perform(self, state: State) -> None:
        """See `Effect`."""
        state.lift(self.key, self.cap, keep=self.keep)

    def aperform(self, state: State) -> Awaitable[None]:
        """See `Effect`."""
        return state.alift(self.key, self.cap, keep=self.keep)


@dataclass(slots=True)
class Sleep(Effect):
    """Waits until it is worth asking again."""

    seconds: float

    def perform(self, state: State) -> None:
        """See `Effect`."""
        time.sleep(self.seconds)

    def aperform(self, state: State) -> Awaitable[None]:
        """See `Effect`."""
        import asyncio

        return asyncio.sleep(self.seconds)


@dataclass(slots=True)
class Pause(Sleep):
    """Waits for a call's turn."""

    call_id: str
    most: float

    def perform(self, state: State) -> None:
        """See `Effect`."""
        state.pause(self.call_id, self.seconds, most=self.most)

    def aperform(self, state: State) -> Awaitable[None]:
        """See `Effect`."""
        return state.apause(self.call_id, self.seconds, most=self.most)


@dataclass(slots=True)
class Ask(Effect):
    """Asks the user's own function, which may ask a person."""

    function: Callable[[LimitError], Any]
    error: LimitError
    deadline: Deadline
    """How long an answer that is awaited may take."""

    def perform(self, state: State) -> Any:
        """See `Effect`."""
        answer = self.function(self.error)
        if inspect.iscoroutine(answer):
            answer.close()
            raise ConfigError(
                f"{self.error.limit}: {self.function!r} is a coroutine function: use `arun` or `astream`",
                setting="on_exhausted",
                value=self.function,
            )
        return answer

    async def aperform(self, state: State) -> Any:
        """See `Effect`."""
        answer = self.function(self.error)
        if not inspect.isawaitable(answer):
            return answer
        import asyncio

        limit = asyncio.timeout(self.deadline.remaining())
        try:
            async with limit:
                return await answer
        except TimeoutError:
            if limit.expired():
                raise self.deadline.late() from None
            raise


@dataclass(slots=True)
class Paused:
    """An admission that waits for its turn, and the wait that comes next."""

    effects: Effects[Any]
    pause: Sleep


class _Withdrawn(BaseException):
    """Nobody waits for the call any more."""


def withdrawn(paused: Paused) -> Effects[None]:
    """What is left to do for a call that no longer waits for its turn."""
    try:
        effect = paused.effects.throw(_Withdrawn())
        while True:
            effect = paused.effects.send((yield effect))
    except (_Withdrawn, StopIteration):
        pass


def perform(effects: Effects[T], state: State, first: Effect | None = None) -> T:
    """Performs the effects and gives what their generator returns; `first` is one that it has yielded already."""
    done = begun(effects, state, first, patient=True)
    assert not isinstance(done, Paused)  # noqa: S101 - the patient do not stop
    return done


def begun(effects: Effects[T], state: State, effect: Effect | None = None, *, patient: bool = False) -> T | Paused:
    """Performs the effects up to the first wait."""
    try:
        effect = next(effects) if effect is None else effect
        while patient or not isinstance(effect, Sleep):
            try:
                done = effect.perform(state)
            except BaseException as error:  # noqa: BLE001 - the effects decide what it means
                effect = effects.throw(error)
            else:
                effect = effects.send(done)
    except StopIteration as stop:
        return stop.value
    return Paused(effects, effect)


async def aperform(effects: Effects[T], state: State, first: Effect | None = None) -> T:
    """The async twin of `perform`."""
    done = await abegun(effects, state, first, patient=True)
    assert not isinstance(done, Paused)  # noqa: S101 - the patient do not stop
    return done


async def abegun(
    effects: Effects[T], state: State, effect: Effect | None = None, *, patient: bool = False
) -> T | Paused:
    """The async twin of `begun`."""
    try:
        effect = next(effects) if effect is None else effect
        while patient or not isinstance(effect, Sleep):
            try:
                done = await effect.aperform(state)
            except BaseException as error:  # noqa: BLE001 - the effects decide what it means
                effect = effects.throw(error)
            else:
                effect = effects.send(done)
    except StopIteration as stop:
        return stop.value
    return Paused(effects, effect)
