"""What a store keeps for the rules: a record for each account, set of slots, rate, circuit, line, call, and key.

Times are seconds of the store's own clock. `until` says when a record may be forgotten; `None` is never.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from tierwise.state.claims import Circuit, Claim, Rate, Slot, Spend, Turn

__all__ = [
    "KEPT",
    "Account",
    "Book",
    "Breaker",
    "Bucket",
    "Held",
    "Keyed",
    "Line",
    "Places",
    "Record",
    "Shelf",
    "Waiter",
]


@dataclass(slots=True)
class Account:
    """Of `Spend`."""

    spent: int = 0
    reserved: int = 0
    cap: int | None = None
    """The cap that it was lifted to."""
    until: float | None = None


@dataclass(slots=True)
class Places:
    """Of `Slot`: the calls that hold one."""

    holders: list[str] = field(default_factory=list[str])
    until: float | None = None


@dataclass(slots=True)
class Bucket:
    """Of `Rate`: when it is full again (the theoretical arrival time of GCRA)."""

    full_at: float = 0.0
    until: float | None = None


@dataclass(slots=True)
class Breaker:
    """Of `Circuit`."""

    failures: int = 0
    """In a row."""
    openings: int = 0
    """In a row, without a success between them."""
    open_until: float | None = None
    """`None` while it is closed."""
    probe: str | None = None
    """The call that tries it."""
    probe_until: float = 0.0
    until: float | None = None


Waiter: TypeAlias = "tuple[int, int, str, float, dict[str, int]]"
"""A call that waits: its rank, the number that tells it from others of the same rank, its party, when its place is
given up, and what it wants of slots and rates."""


@dataclass(slots=True)
class Line:
    """Of `Turn`: the calls that wait."""

    waiting: dict[str, Waiter] = field(default_factory=dict[str, Waiter])
    served: int = 0
    """The rank of the last call that went."""
    came: int = 0
    """How many have come so far."""
    until: float | None = None


@dataclass(slots=True)
class Held:
    """Of a call: what it has set aside."""

    units: int
    expires: float
    until: float | None
    accounts: dict[str, int]
    places: list[str]
    probes: list[str]
    expected: dict[str, int]
    """Of rates."""
    lapsed: bool = False
    """True once the lease is over: nothing is set aside any more, and a settlement still counts."""


@dataclass(slots=True)
class Keyed:
    """Of a run that is made once."""

    fingerprint: str
    """Of its request."""
    run_id: str
    expires: float
    """When its lease ends, or when it ended itself."""
    until: float
    body: str | None = None
    """What is kept of its reply; `None` while there is none, or if nothing is known of its end."""


Record: TypeAlias = Account | Places | Bucket | Breaker | Line | Held | Keyed
C = TypeVar("C", covariant=True)

KEPT: Mapping[type[Claim], type[Record]] = {
    Spend: Account,
    Slot: Places,
    Rate: Bucket,
    Circuit: Breaker,
    Turn: Line,
}
"""What is kept of each kind of claim."""


class Shelf(Protocol[C]):
    """The records of one kind. One that it gave may be changed: it is kept so."""

    def get(self, key: str, /) -> C | None:
        """The record, if there is one."""
        ...

    def pop(self, key: str, default: None, /) -> C | None:
        """Forgets a record."""
        ...


class Book(Protocol):
    """The records of a store, within one transaction."""

    @property
    def accounts(self) -> Shelf[Account]:
        """See `Account`."""
        ...

    @property
    def places(self) -> Shelf[Places]:
        """See `Places`."""
        ...

    @property
    def buckets(self) -> Shelf[Bucket]:
        """See `Bucket`."""
        ...

    @property
    def breakers(self) -> Shelf[Breaker]:
        """See `Breaker`."""
        ...

    @property
    def lines(self) -> Shelf[Line]:
        """See `Line`. If it is false, it is empty."""
        ...

    @property
    def held(self) -> Shelf[Held]:
        """See `Held`."""
        ...

    @property
    def keyed(self) -> Shelf[Keyed]:
        """See `Keyed`."""
        ...

    @property
    def soonest(self) -> float:
        """When the next lease is over, or earlier."""
        ...

    @property
    def shelves(self) -> Mapping[type[Claim], Shelf[Any]]:
        """What is kept of claims, by their kind."""
        ...

    def add(self, key: str, record: Record) -> None:
        """Keeps a record that is new, or that had no `until`, or the call's whose lease is over."""
        ...

    def lapsed(self, now: float) -> Sequence[tuple[str, Held]]:
        """Calls whose lease is over and that are not marked so, a bounded number of them."""
        ...
