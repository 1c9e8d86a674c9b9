"""What the state is asked and told of a run's key. Nothing in here waits: see `tierwise.effects`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tierwise.admission import GRACE, OnStateLoss
from tierwise.effects import Effect, Effects, Sleep
from tierwise.errors import (
    ConfigError,
    DeadlineError,
    InProgressError,
    KeyReusedError,
    StateError,
    UnknownOutcomeError,
)
from tierwise.flow import Stated
from tierwise.idempotency.fingerprint import fingerprint
from tierwise.ids import fraction
from tierwise.ledger.rows import Row
from tierwise.state import Once, State
from tierwise.task import Task

__all__ = ["LEASE", "MOST_KEPT", "Keyed"]

LEASE = 600.0
"""Seconds after which it is unknown what came of a run that has no deadline."""

_FIRST, _GROWTH, _LONGEST = 0.01, 1.5, 0.25
"""How many seconds one who waits for a run pauses before asking again: at first, times that, at most."""

MOST_KEPT = 1_000_000
"""The longest reply that is kept, in characters of its JSON."""


@dataclass(slots=True)
class Begin(Effect):
    """Takes the key, or asks what is known of it."""

    key: str
    fingerprint: str
    run_id: str
    lease: float
    again: bool

    def perform(self, state: State) -> Once:
        """See `Effect`."""
        return state.begin_once(self.key, self.fingerprint, self.run_id, lease=self.lease, again=self.again)

    async def aperform(self, state: State) -> Once:
        """See `Effect`."""
        return await state.abegin_once(self.key, self.fingerprint, self.run_id, lease=self.lease, again=self.again)


@dataclass(slots=True)
class End(Effect):
    """Says what came of the run."""

    key: str
    run_id: str
    body: str | None
    keep: float

    def perform(self, state: State) -> None:
        """See `Effect`."""
        state.end_once(self.key, self.run_id, self.body, keep=self.keep)

    async def aperform(self, state: State) -> None:
        """See `Effect`."""
        await state.aend_once(self.key, self.run_id, self.body, keep=self.keep)


@dataclass(slots=True, eq=False)
class Keyed:
    """The key of one run.

    Args:
        key: The task's `idempotency_key`.
        task: What is asked.
        run_id: The run that asks.
        keep: Seconds for which its reply is kept.
        on_state_loss: Whether the run is made if the state cannot be asked.
        remaining: Gives the seconds that are left of the run's deadline.
        say: Takes what the record should say of the run.

    Raises:
        ConfigError: The task's request is in a framework's own form, and so would its reply be.
    """

    key: str
    task: Task
    run_id: str
    keep: float
    on_state_loss: OnStateLoss
    remaining: Callable[[], float | None]
    say: Callable[[Stated], None]
    _lost: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.task.native is not None:
            raise ConfigError(
                f"idempotency_key={self.key!r}: a reply in a framework's own form cannot be kept; ask the router "
                "itself, by router.run(...)",
                setting="idempotency_key",
                value=self.key,
            )

    def begin(self) -> Effects[str | None]:
        """Takes the key: what was kept under it, or `None` if the run is to be made. Waits for a run under way.

        Raises:
            IdempotencyError: The run cannot be made under this key.
            DeadlineError: The deadline passed before the key was asked for.
            StateError: The state is lost, and `on_state_loss` is `fail_closed`.
        """
        left = self.remaining()
        lease = LEASE if left is None else left + GRACE
        ask = Begin(self.key, fingerprint(self.task), self.run_id, lease, self.task.retry_unknown)
        pause = _FIRST * (1 + fraction(self.run_id))
        while True:
            said = yield from self._asked(ask)
            if said is None or said.state == "new":
                return None
            if said.state == "done":
                return said.body
            yield Sleep(min(pause, self._patience(said)))
            pause = min(pause * _GROWTH, _LONGEST)

    def _asked(self, ask: Begin) -> Effects[Once | None]:
        try:
            return (yield ask)
        except StateError as error:
            self._refuse(error)
            return None
        except GeneratorExit:
            raise
        except BaseException:
            yield from self.end(None, keep=0.0)  # what was interrupted may have taken the key
            raise

    def _patience(self, said: Once) -> float:
        """Seconds that the caller can wait for a run under way."""
        under = f"idempotency_key={self.key!r}"
        if said.state == "other":
            raise KeyReusedError(
                f"{under} is another request's, with other messages, tools or output schema (run {said.run_id}): give "
                "each request a key of its own",
                key=self.key,
                run_id=said.run_id,
            )
        if said.state == "unknown":
            raise UnknownOutcomeError(
                f"the outcome of run {said.run_id} under {under} is unknown: the provider may have answered and "
                "billed. With retry_unknown=True it is made again",
                key=self.key,
                run_id=said.run_id,
            )
        try:
            left = self.remaining()
        except DeadlineError as late:
            raise InProgressError(
                f"run {said.run_id} is under way under {under}, and took longer than the deadline of "
                f"{late.deadline:g} s allows to wait: ask again later",
                key=self.key,
                run_id=said.run_id,
            ) from None
        return said.left if left is None else min(said.left, left)

    def _refuse(self, error: StateError) -> None:
        """The key cannot be asked for: refuses the run, or lets it be made and says so."""
        if self.on_state_loss == "fail_closed":
            raise StateError(
                f"idempotency_key={self.key!r} cannot be asked for ({error}), and on_state_loss='fail_closed': the run "
                "is not made"
            ) from error
        self._lost = True
        self._warn("the run is made without its idempotency_key", error)

    def kept(self, body: str) -> Effects[None]:
        """The run gave a reply."""
        if len(body) <= MOST_KEPT:
            yield from self.end(body, keep=self.keep)
            return
        self._warn(
            f"the reply is not kept under idempotency_key={self.key!r}",
            f"it takes {len(body):,} characters, and {MOST_KEPT:,} are kept at most",
        )
        yield from self.end(None, keep=self.keep)

    def failed(self, error: BaseException, rows: Sequence[Row]) -> Effects[None]:
        """The run gave no reply.

        The key is free again if the caller was told by an error, or if nothing was spent. Otherwise the run was broken
        off in the middle, and a provider may have answered and billed.
        """
        free = isinstance(error, Exception) or all(row.cost == 0 for row in rows)
        yield from self.end(None, keep=0.0 if free else self.keep)

    def end(self, body: str | None, *, keep: float) -> Effects[None]:
        """Says what came of the run. A state that is lost does not stop the reply."""
        if self._lost:
            return
        try:
            yield End(self.key, self.run_id, body, keep)
        except StateError as error:
            self._warn(f"what came of the run is not known under idempotency_key={self.key!r}", error)

    def _warn(self, what: str, why: object) -> None:
        import logging

        logging.getLogger("tierwise").warning("%s: %s", what, why)
        self.say(Stated(f"{what}: {why}"))
