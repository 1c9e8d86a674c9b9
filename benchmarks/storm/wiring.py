"""What all processes of the storm have in common: the models, their limits, where state and ledger are."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from tierwise import (
    Always,
    Budget,
    Cascade,
    CircuitBreaker,
    Fleet,
    ModelSpec,
    Price,
    RateLimit,
    Retry,
    Router,
    Task,
    Tier,
    admission,
)
from tierwise.attempt import Outcome
from tierwise.ledger import SQLiteLedger
from tierwise.state import RedisState, SQLiteState, State
from tierwise_ollama import OllamaBackend, Timeouts
from weather import UNSURE

__all__ = ["DEADLINE", "FLEET", "MODELS", "RATE", "THRIFTY", "Counted", "Place", "question"]

DEADLINE = 8.0
"""Seconds that a question may take."""

PATIENCE = 60.0
"""Seconds that a process waits for state and ledger: the machine may be busy with anything."""

THRIFTY = "team:thrifty"
"""The tag of every fifth question: its budget pays for about a sixth of them, and is exhausted in any weather."""

_COST = Decimal("0.000028")
"""About what a question costs, in USD."""

FLEET = Fleet(
    [
        Tier(
            "small",
            [
                ModelSpec("ollama:small", price=Price("0.10", "0.40"), concurrency=16),
                ModelSpec("ollama:spare", price=Price("0.20", "0.80"), concurrency=12, requests_per_minute=1_500),
            ],
        ),
        Tier("large", ModelSpec("ollama:large", price=Price(1, 4), concurrency=12)),
    ]
)
MODELS = [model.name for model in FLEET.models]
RATE = RateLimit(wait=3.0)


def sure(outcome: Outcome) -> bool:
    return UNSURE not in outcome.text


def question(number: int) -> Task:
    """One question; its number is in its prompt for the provider, and in its node for the ledger."""
    return Task(
        f"Please answer question {number} in short.",
        node=str(number),
        session=f"session {number % 40}",
        tags=[THRIFTY] if number % 5 == 0 else [],
        deadline=DEADLINE,
        max_output_tokens=48,
    )


class Counted(State):
    """A state that counts how often a call waited for its turn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.waits = 0

    def pause(self, call_id: str, seconds: float, *, most: float) -> None:
        self.waits += 1
        super().pause(call_id, seconds, most=most)

    async def apause(self, call_id: str, seconds: float, *, most: float) -> None:
        self.waits += 1
        await super().apause(call_id, seconds, most=most)


class CountedSQLite(Counted, SQLiteState):
    """See `Counted`."""


class CountedRedis(Counted, RedisState):
    """See `Counted`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a storm happens."""

    provider: str
    """The provider's address."""
    ledger: str
    """The ledger's file."""
    store: str
    """Where the state is: a file, or the address of a Redis server."""
    calls: int
    """How many questions are asked."""
    grace: float = admission.GRACE
    """Seconds that a reservation outlives the deadline of its call."""

    @property
    def longest_lease(self) -> float:
        """Seconds."""
        return DEADLINE + self.grace

    @property
    def budgets(self) -> tuple[Budget, Budget]:
        return (
            Budget(usd=_COST * self.calls, name="all"),
            Budget(usd=_COST * self.calls / 30, name="thrifty", tag=THRIFTY),
        )

    @contextmanager
    def opened(self) -> Generator[tuple[Router, Counted]]:
        """A router over that state and that ledger."""
        admission.GRACE = self.grace
        with SQLiteLedger(self.ledger, on_error="raise") as ledger, closing(self._state()) as state:
            yield self._router(ledger, state), state

    def _state(self) -> CountedSQLite | CountedRedis:
        if "://" in self.store:
            return CountedRedis(self.store, wait=PATIENCE)
        return CountedSQLite(self.store, wait=PATIENCE)

    def _router(self, ledger: SQLiteLedger, state: State) -> Router:
        return Router(
            FLEET,
            policy=Always("small"),
            strategy=Cascade(sure),
            backends={"ollama": OllamaBackend(self.provider, timeouts=Timeouts(first_token=2.0, idle=1.0))},
            limits=[*self.budgets, CircuitBreaker(failures=5, cooldown=0.1, longest=1.0, probe=5.0), RATE],
            retry=Retry(total=3, each=1, pause=0.1, longest=1.0),
            ledger=ledger,
            state=state,
        )

    def told(self, **more: Any) -> str:
        """As JSON, for another process."""
        return json.dumps(asdict(self) | more)
