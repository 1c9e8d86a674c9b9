"""Whatever is reserved, settled, lost and forgotten, in whatever order: the accounts add up."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, consumes, invariant, multiple, rule
from tierwise.state import Balance, Denied, Granted, MemoryState, Slot, Spend

CAPS = {"a": 1_000, "b": 300}
SLOTS = 3


@dataclass
class Model:
    """What should be: told by nothing but the calls themselves."""

    spent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAPS, 0))
    late: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CAPS, 0))
    """What was charged after its lease had ended: it is spent, and no cap can have held it back."""
    held: dict[str, tuple[float, dict[str, int]]] = field(default_factory=dict[str, tuple[float, dict[str, int]]])

    def reserved(self, key: str, now: float) -> int:
        return sum(amounts.get(key, 0) for ends, amounts in self.held.values() if ends > now)

    def slots(self, now: float) -> int:
        return sum("slot" in amounts for ends, amounts in self.held.values() if ends > now)


class Accounts(RuleBasedStateMachine):
    """Calls that reserve on two accounts and a set of slots, end or not, and are told of once or twice."""

    calls = Bundle("calls")
    settled = Bundle("settled")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.count = 0
        self.state = MemoryState(clock=lambda: self.now)
        self.model = Model()

    @rule(
        target=calls,
        keys=st.sets(st.sampled_from(sorted(CAPS)), min_size=1),
        amount=st.integers(0, 400),
        each=st.integers(0, 3),
        slot=st.booleans(),
        lease=st.floats(1, 100),
    )
    def reserve(self, keys: set[str], amount: int, each: int, slot: bool, lease: float) -> object:
        """A call begins."""
        self.count += 1
        call_id = f"call {self.count}"
        spends = [Spend(key, cap=CAPS[key], amount=amount, each=each) for key in sorted(keys)]
        claims = [*spends, *([Slot("slot", size=SLOTS)] if slot else [])]
        said = self.state.reserve(call_id, claims, lease=lease, least=10, most=200)
        free = {k: CAPS[k] - self.model.spent[k] - self.model.reserved(k, self.now) - amount for k in keys}
        room = [200 if each == 0 else min(200, n // each) for n in free.values()]
        full = slot and self.model.slots(self.now) >= SLOTS
        if min(free.values()) < 0 or min(room) < 10 or full:
            assert isinstance(said, Denied)
            none: MultipleResults[object] = multiple()
            return none
        assert said == Granted(min(room))
        amounts = {key: amount + each * min(room) for key in keys} | ({"slot": 1} if slot else {})
        self.model.held[call_id] = (self.now + lease, amounts)
        return call_id, claims

    @rule(target=settled, call=consumes(calls), share=st.floats(0, 1))
    def settle(self, call: tuple[str, list[Spend]], share: float) -> object:
        """A call ends: in time or long after, with no more than was set aside."""
        call_id, claims = call
        ends, amounts = self.model.held.pop(call_id)
        taken = [int(amounts[claim.key] * share) for claim in claims]
        self.state.settle(call_id, claims, taken)
        for claim, took in zip(claims, taken, strict=True):
            if claim.key in CAPS:
                self.model.spent[claim.key] += took
                self.model.late[claim.key] += took if ends <= self.now else 0
        return call_id, claims

    @rule(call=settled)
    def settle_again(self, call: tuple[str, list[Spend]]) -> None:
        """The answer to a settlement was lost, and it is sent once more."""
        call_id, claims = call
        self.state.settle(call_id, claims, [999] * len(claims))

    @rule(seconds=st.floats(0, 60))
    def passes(self, seconds: float) -> None:
        """Time passes, and leases end."""
        self.now += seconds

    @invariant()
    def adds_up(self) -> None:
        """The state says what the model says, and no cap is passed."""
        for key, cap in CAPS.items():
            balance = self.state.balance(key)
            assert balance == Balance(self.model.spent[key], self.model.reserved(key, self.now))
            assert balance.spent + balance.reserved <= cap + self.model.late[key]

    def teardown(self) -> None:
        """When all leases have ended nothing is set aside."""
        self.now += 1_000
        assert [self.state.balance(key).reserved for key in CAPS] == [0, 0]
        assert self.state.held == 0


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
