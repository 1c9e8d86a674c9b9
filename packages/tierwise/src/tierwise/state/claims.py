"""What limits ask of the state, as plain values: every store understands these five kinds, and nothing else.

A claim is reserved before a call and settled after it, with what the call took of it. Amounts are whole numbers
(nano-dollars, tokens, requests), so that every store adds them up in the same way. They are named tuples because a
call makes a dozen of them: that takes half as long as with frozen dataclasses.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal, NamedTuple, TypeAlias

__all__ = [
    "Balance",
    "Circuit",
    "Claim",
    "Denied",
    "Granted",
    "Health",
    "Observed",
    "Rate",
    "Signal",
    "Slot",
    "Spend",
    "Taken",
    "Turn",
]


class Spend(NamedTuple):
    """Spending from an account with a cap. A calendar window is an account of its own: its name holds the date."""

    key: str
    """The account."""
    cap: int
    """What may be spent and reserved together. A higher cap that the state was told of (`State.lift`) replaces it."""
    amount: int
    """What the call takes whatever its answer is."""
    each: int = 0
    """What each output token takes on top."""
    keep: float | None = None
    """Seconds after its last use for which the account is kept; `None` for ever."""


class Slot(NamedTuple):
    """One of so many places, held until the call ends."""

    key: str
    size: int
    """How many places there are."""


class Rate(NamedTuple):
    """So much in a period, as a bucket that refills evenly (GCRA: ITU-T I.371, the virtual scheduling algorithm)."""

    key: str
    limit: int
    """How much in a period."""
    period: float
    """Seconds."""
    amount: int = 1
    """How much of it the call is expected to take."""
    burst: int | None = None
    """How much may go at once; `limit` if not given."""


Health: TypeAlias = Literal["good", "bad", "down", "unknown"]
"""What a call says of whom it called. `bad` counts towards opening the circuit, `down` opens it at once, and `unknown`
(a cancelled call, a request that was wrong in itself) says nothing."""


class Circuit(NamedTuple):
    """A way that is closed to calls after failures, and then tried by one probe.

    Closed, it opens after so many failures in a row. Open, it refuses for a cooldown; each opening that follows a
    failed probe doubles it. After it, one call may go as a probe, and every other is refused until that call has ended,
    or its time as a probe has.
    """

    key: str
    failures: int
    """How many failures in a row open it."""
    cooldown: float
    """Seconds that it stays open at first."""
    longest: float
    """The longest that it stays open, in seconds, unless the provider asks for more."""
    probe: float | None = None
    """Seconds after which another call may try, though the probe has not ended; as long as its lease if not given."""


class Turn(NamedTuple):
    """A place in a line, for calls that wait: who has waited for slots and rates gets them before who comes later.

    The parties of a line take turns, and each party's calls go in the order in which they came (start-time fair
    queuing: Goyal, Vin and Cheng, 1996). So a party with a hundred calls holds up another's one call by one of its own.
    A call goes when there is room for it and for all who are before it. It denies nothing by itself.
    """

    key: str
    """The line."""
    party: str
    """Whose call it is, e.g. the session."""


Claim: TypeAlias = Spend | Slot | Rate | Circuit | Turn


class Signal(NamedTuple):
    """What a call said of the circuit that it went through."""

    health: Health = "unknown"
    retry_after: float | None = None
    """Seconds for which the provider asks to be left alone: the circuit opens for that time, whatever the health is
    that made it ask. The longer of two cooldowns wins."""


Taken: TypeAlias = int | Signal | None
"""What a call took of a claim: of `Spend` and `Rate` an amount, or `None` for as much as was set aside; of `Circuit` a
`Signal`, or `None` for an unknown one; of `Slot` and `Turn` nothing can be said, for they are free again."""


class Granted(NamedTuple):
    """Every claim of a call was reserved."""

    units: int
    """The output tokens that were reserved for; what was asked for at most where no claim counts them."""
    probe: bool = False
    """True if the call is the probe of a circuit."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was reserved, because of one claim: of several, the one that holds the call up for longest."""

    index: int
    """The claim's place among those of the call."""
    _: KW_ONLY
    retry_after: float | None = None
    """Seconds after which it is worth trying again; `None` where waiting alone does not help."""
    spent: int = 0
    """Of an account: what is spent."""
    reserved: int = 0
    """Of an account: what other calls have set aside. Of slots: how many are held."""
    cap: int = 0
    """The figure that holds: the cap, the number of slots, the rate."""
    ahead: int = 0
    """How many calls wait before this one."""


@dataclass(frozen=True, slots=True)
class Balance:
    """An account, read."""

    spent: int = 0
    reserved: int = 0
    cap: int | None = None
    """The cap that the account was lifted to; `None` if it never was."""


class Observed(NamedTuple):
    """How a model did in one call."""

    model: str
    """The model's key."""
    seconds: float | None = None
    """How long an answer took; `None` if none came to its end."""
    failed: bool = False
