"""May this call go now? A limit says what a call would take, and what it took. It does no I/O; the state counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tierwise.attempt import Attempt, Outcome
from tierwise.errors import ConfigError, LimitError
from tierwise.fleet.pricing import Pricing
from tierwise.state import Claim, Denied, Taken

if TYPE_CHECKING:
    from tierwise.backends.base import Backend
    from tierwise.fleet.model import ModelSpec
    from tierwise.state import State

__all__ = ["LEAST_OUTPUT", "MOST_OUTPUT", "Call", "Limit", "named_apart"]

LEAST_OUTPUT = 64
"""The fewest output tokens that are worth a call whose answer nothing bounds but a budget."""

MOST_OUTPUT = 4_096
"""The most that is set aside for such a call."""


@dataclass(slots=True, eq=False)
class Call:
    """A call that asks to go, as a limit sees it."""

    attempt: Attempt
    """As the flow asked for it: what a driver adds (its id, the time left, the longest answer that can be paid) comes
    when the call goes."""
    call_id: str
    run_id: str
    at: float
    """Seconds since 1970."""
    pricing: Pricing
    prompt_tokens: int
    """The estimated length of all that is sent."""
    backend: Backend
    """Who makes the call: knows its server and its credential. A limit calls no model."""
    bound: int | None = None
    """The longest answer, in tokens, where the task or the model bounds it."""
    caches: bool = False
    """Whether the prompt, or a part of it, is to be written to the provider's cache."""


class Limit(ABC):
    """Refuses calls. A refusal is sent to the flow as a failed outcome that cost nothing, so that it falls back.

    The claims of all limits of a call are reserved together, in one step, and settled together.
    """

    name: str
    """Tells it from the other limits of a router, in errors and in what the state keeps."""

    wait: float = 0.0
    """Seconds that a call may wait for what is refused now and free later."""

    ask: Callable[[Any], Any] | None = None
    """Asked, with the error, before a call is refused; see `raised`. A coroutine function in async runs only."""

    @abstractmethod
    def claims(self, call: Call) -> Sequence[Claim]:
        """What the call would take; empty if the limit has nothing to say of it.

        Raises:
            LimitError: The call is refused whatever the state says.
        """

    def taken(self, claim: Claim, outcome: Outcome, call: Call) -> Taken:
        """What the call took of a claim; by default as much as was set aside.

        Args:
            claim: One of `claims`, after the call's end.
            outcome: How the call ended. Its cost is zero if it was never sent, or failed unbilled.
            call: What `claims` was given.
        """
        return None

    def refusal(self, claim: Claim, denied: Denied, call: Call) -> LimitError:
        """The error that says why the call may not go now."""
        return LimitError(
            f"{self.name}: {call.attempt.model.key} may not be called now",
            limit=self.name,
            value=denied.spent + denied.reserved,
            allowed=denied.cap,
            retry_after=denied.retry_after,
        )

    def rest(self, model: ModelSpec, backend: Backend, state: State) -> float | None:
        """Seconds for which the limit is known to refuse every call to the model; `None` if it is not.

        Policies ask it, to let another model go first: it is as cheap as the other reads of a state.
        """
        return None

    def refs(self) -> Iterable[str]:
        """The models, by alias, id or provider, that this limit names; a router checks them at start-up."""
        return ()

    def raised(self, claim: Claim, answer: Any) -> int | None:
        """The new cap of the claim's account, as `ask` answered; `None` for a refusal."""
        return None


def named_apart(limits: Iterable[Limit]) -> tuple[Limit, ...]:
    """The limits, each of which has a name of its own.

    Raises:
        ConfigError: Two have the same: the state would take them for one.
    """
    seen: set[str] = set()
    given = tuple(limits)
    for limit in given:
        if limit.name in seen:
            raise ConfigError(
                f"two limits are named {limit.name!r}: give one of them another, e.g. name='nightly'",
                setting="limits",
                value=limit.name,
            )
        seen.add(limit.name)
    return given
