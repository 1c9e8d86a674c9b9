"""What changes over time, behind one protocol."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tierwise.state.claims import Balance, Claim, Denied, Granted, Observed, Taken

if TYPE_CHECKING:
    from tierwise.state.once import Once

__all__ = ["State", "completed", "in_thread"]

T = TypeVar("T")


class State(ABC):
    """Where everything is kept that changes over time: one object for all runs, or for all processes.

    `reserve` and `settle` are atomic, and one round trip each. A reservation is a lease: if it is not settled in time,
    what it set aside is free again, and a settlement that comes all the same still charges what was spent. A second
    settlement of the same call does nothing. The twins in async do what their sync forms do; by default in a thread.
    Once begun they come to their end, even if who awaits them is cancelled, so that nothing is left half done.

    Policies read the rest on every step, so these reads are cheap: a store that is not in this process answers them
    from what it last heard.

    Raises:
        StateError: The store cannot be reached, or is damaged. Every method that asks it may raise this.
    """

    @abstractmethod
    def reserve(
        self,
        call_id: str,
        claims: Sequence[Claim],
        *,
        lease: float,
        least: int = 0,
        most: int = 0,
        wait: float = 0.0,
    ) -> Granted | Denied:
        """Sets aside what a call may take: all of its claims, or none.

        Claims that count output tokens (`Spend.each`) are given as many as all of their accounts can pay, from `least`
        to `most`. A call that has a reservation already keeps it.

        Args:
            call_id: The call.
            claims: What it may take; no two have the same key.
            lease: Seconds after which the reservation lapses.
            least: The fewest output tokens that are of use.
            most: The most that it may produce.
            wait: Seconds for which the call keeps its place in its lines (`Turn`) after it was due to ask again; 0 if
                it does not wait. It gives up its place by settling.
        """

    @abstractmethod
    def settle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """Replaces what was set aside by what was taken.

        Args:
            call_id: The call.
            claims: The claims that were reserved, or waited for.
            taken: What the call took of each.
            observed: How the model did; it is remembered whether there is a reservation or not.
        """

    @abstractmethod
    def lift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """Raises the cap of one account; a cap that is higher already stays.

        Args:
            key: The account.
            cap: The new cap.
            keep: See `Spend.keep`.
        """

    @abstractmethod
    def balance(self, key: str) -> Balance:
        """What is spent and reserved of an account; zero of one that is not known."""

    @abstractmethod
    def begin_once(self, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool = False) -> Once:
        """Takes the key of a run that is to be made once, or says what is known of it. Atomic, and one round trip.

        A run that has the key already keeps it.

        Args:
            key: The key.
            fingerprint: Of the request: under one key there is one.
            run_id: The run that asks.
            lease: Seconds that the run may take. If nothing is heard of its end by then, it is `unknown` for a day.
            again: Whether a key is taken whose run is `unknown`.
        """

    @abstractmethod
    def end_once(self, key: str, run_id: str, body: str | None, *, keep: float) -> None:
        """Says what came of the run that has the key; one that has it no more says nothing.

        Args:
            key: The key.
            run_id: The run.
            body: What is kept of its reply, in ASCII; `None` if nothing is known of its end.
            keep: Seconds for which that is known; with zero the key is free at once.
        """

    def pause(self, call_id: str, seconds: float, *, most: float) -> None:
        """Waits until it is worth asking again for a call that was denied.

        Args:
            call_id: The call.
            seconds: How long to wait, where the state does not know better.
            most: How long it may wait at all.
        """
        time.sleep(min(seconds, most))

    async def apause(self, call_id: str, seconds: float, *, most: float) -> None:
        """The async twin of `pause`."""
        import asyncio

        await asyncio.sleep(min(seconds, most))

    async def areserve(
        self,
        call_id: str,
        claims: Sequence[Claim],
        *,
        lease: float,
        least: int = 0,
        most: int = 0,
        wait: float = 0.0,
    ) -> Granted | Denied:
        """The async twin of `reserve`."""
        return await in_thread(self.reserve, call_id, claims, lease=lease, least=least, most=most, wait=wait)

    async def asettle(
        self, call_id: str, claims: Sequence[Claim], taken: Sequence[Taken], observed: Observed | None = None
    ) -> None:
        """The async twin of `settle`."""
        await in_thread(self.settle, call_id, claims, taken, observed)

    async def alift(self, key: str, cap: int, *, keep: float | None = None) -> None:
        """The async twin of `lift`."""
        await in_thread(self.lift, key, cap, keep=keep)

    async def abalance(self, key: str) -> Balance:
        """The async twin of `balance`."""
        return await in_thread(self.balance, key)

    async def abegin_once(self, key: str, fingerprint: str, run_id: str, *, lease: float, again: bool = False) -> Once:
        """The async twin of `begin_once`."""
        return await in_thread(self.begin_once, key, fingerprint, run_id, lease=lease, again=again)

    async def aend_once(self, key: str, run_id: str, body: str | None, *, keep: float) -> None:
        """The async twin of `end_once`."""
        await in_thread(self.end_once, key, run_id, body, keep=keep)

    @abstractmethod
    def session_tier(self, session: str) -> tuple[str, int] | None:
        """The tier that the session was last answered by, and the prompt tokens cached there."""

    @abstractmethod
    def session_idle(self, session: str) -> float | None:
        """Seconds since the session was last answered; `None` if it never was."""

    @abstractmethod
    def keep_session(self, session: str, tier: str, prompt_tokens: int) -> None:
        """Remembers the tier that answered.

        Args:
            session: The session's name.
            tier: The tier's name.
            prompt_tokens: The length of the prompt, in tokens, which a provider may hold in its cache now.
        """

    @abstractmethod
    def latency(self, model: str) -> float | None:
        """The moving average of the model's latency in seconds; `None` if it never answered."""

    @abstractmethod
    def error_rate(self, model: str) -> float | None:
        """The moving average of the model's failures, from 0 to 1; `None` if it was never called.

        While the model is not called it halves every minute, so that nobody avoids it for ever.
        """

    @abstractmethod
    def open_for(self, circuit: str) -> float | None:
        """Seconds for which a circuit refuses calls, as far as is known now; `None` if it does not.

        Args:
            circuit: Its key; see `Circuit`.
        """

    @abstractmethod
    def observe(self, observed: Observed) -> None:
        """Remembers how a model did."""


async def completed(work: Awaitable[T]) -> T:
    """What the work gives; if who awaits it is cancelled, the work comes to its end first."""
    import asyncio

    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """What the function gives, called in a thread; it comes to its end in any case."""
    import asyncio

    return await completed(asyncio.to_thread(function, *args, **options))
