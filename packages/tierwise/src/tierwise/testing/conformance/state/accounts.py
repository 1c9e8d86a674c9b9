"""What is reserved and settled adds up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tierwise.ids import new_id
from tierwise.state import (
    Balance,
    Denied,
    Granted,
    Spend,
    State,
)
from tierwise.testing.conformance.state.suite import LEASE, StateSuite, Wait, key, refused, reserve, reserved

__all__ = ["Accounts"]


class Accounts(StateSuite):
    """What is reserved and settled adds up."""

    def test_what_is_reserved_counts_until_it_is_replaced_by_what_was_taken(self, state: State) -> None:
        """Reserve before, settle after."""
        claim = Spend(key(), cap=100, amount=60)
        call_id = reserved(state, claim)
        assert state.balance(claim.key) == Balance(0, 60)
        state.settle(call_id, [claim], [45])
        assert state.balance(claim.key) == Balance(45, 0)

    def test_a_call_that_may_pass_the_cap_is_denied_and_sets_nothing_aside(self, state: State) -> None:
        """Not of the account that denies, and of no other."""
        full, other = Spend(key(), cap=100, amount=60), Spend(key(), cap=100, amount=60)
        reserved(state, full)
        denied = refused(state, other, full)
        assert (denied.index, denied.reserved, denied.spent, denied.cap, denied.retry_after) == (1, 60, 0, 100, None)
        assert state.balance(other.key) == Balance()

    def test_the_cap_itself_may_be_reached(self, state: State) -> None:
        """A budget can be spent to its last."""
        name = key()
        for _ in range(4):
            reserved(state, Spend(name, cap=100, amount=25))
        assert refused(state, Spend(name, cap=100, amount=1)).reserved == 100

    def test_what_is_settled_without_a_figure_is_charged_as_it_was_set_aside(self, state: State) -> None:
        """A limit that cannot tell charges what it said before."""
        claim = Spend(key(), cap=100, amount=60)
        state.settle(reserved(state, claim), [claim], [None])
        assert state.balance(claim.key) == Balance(60, 0)

    def test_a_call_that_took_more_than_was_set_aside_is_charged_in_full(self, state: State) -> None:
        """The next is refused."""
        claim = Spend(key(), cap=100, amount=60)
        state.settle(reserved(state, claim), [claim], [130])
        assert state.balance(claim.key) == Balance(130, 0)
        assert refused(state, Spend(claim.key, cap=100, amount=0)).spent == 130

    def test_a_call_may_set_nothing_aside(self, state: State) -> None:
        """It is charged what it took all the same."""
        claim = Spend(key(), cap=100, amount=0)
        state.settle(reserved(state, claim), [claim], [5])
        assert state.balance(claim.key) == Balance(5, 0)

    def test_a_second_settlement_does_nothing(self, state: State) -> None:
        """A retry of a settlement whose answer was lost charges once."""
        claim = Spend(key(), cap=100, amount=60)
        call_id = reserved(state, claim)
        for _ in range(2):
            state.settle(call_id, [claim], [45])
        assert state.balance(claim.key) == Balance(45, 0)
        state.settle(new_id(), [claim], [45])
        assert state.balance(claim.key) == Balance(45, 0)

    def test_reserving_again_for_the_same_call_keeps_what_it_has(self, state: State) -> None:
        """A retry of a reservation whose answer was lost reserves once."""
        claim, call_id = Spend(key(), cap=100, amount=60), new_id()
        for _ in range(2):
            assert isinstance(state.reserve(call_id, [claim], lease=LEASE), Granted)
        assert state.balance(claim.key) == Balance(0, 60)

    def test_a_reservation_lapses_and_a_late_settlement_still_charges_once(self, state: State, passes: Wait) -> None:
        """A process that dies leaves nothing set aside; one that was only slow pays."""
        claim = Spend(key(), cap=100, amount=60)
        call_id = reserved(state, claim, lease=0.05)
        passes(0.1)
        assert state.balance(claim.key) == Balance()
        other = reserved(state, claim)
        for _ in range(2):
            state.settle(call_id, [claim], [30])
        assert state.balance(claim.key) == Balance(30, 60)
        state.settle(other, [claim], [0])
        assert state.balance(claim.key) == Balance(30, 0)

    def test_output_tokens_are_given_as_far_as_every_account_can_pay(self, state: State) -> None:
        """At once: between asking what is left and taking it nobody else can take it."""
        rich, poor = Spend(key(), cap=10_000, amount=10, each=1), Spend(key(), cap=1_000, amount=100, each=3)
        call_id = new_id()
        assert state.reserve(call_id, [rich, poor], lease=LEASE, least=64, most=4_096) == Granted(300)
        assert (state.balance(rich.key).reserved, state.balance(poor.key).reserved) == (310, 1_000)
        state.settle(call_id, [rich, poor], [0, 0])
        assert state.reserve(new_id(), [rich], lease=LEASE, least=64, most=4_096) == Granted(4_096)
        few = Spend(key(), cap=1_000, amount=100, each=15)
        assert reserve(state, few, least=64, most=4_096) == Denied(0, cap=1_000)

    def test_a_cap_can_be_raised_and_a_higher_one_stays(self, state: State) -> None:
        """A person allowed more."""
        claim = Spend(key(), cap=100, amount=150)
        assert refused(state, claim).cap == 100
        state.lift(claim.key, 200)
        state.lift(claim.key, 120)
        assert state.balance(claim.key) == Balance(cap=200)
        reserved(state, claim)
        assert refused(state, claim).cap == 200

    def test_accounts_are_forgotten_when_nobody_used_them_for_long(self, state: State, passes: Wait) -> None:
        """A run's account is of no use after the run."""
        brief, lasting = Spend(key(), cap=9, amount=1, keep=0.05), Spend(key(), cap=9, amount=1)
        state.settle(reserved(state, brief, lasting, lease=0.05), [brief, lasting], [1, 1])
        passes(0.1)
        reserved(state, Spend(key(), cap=1, amount=1))
        assert state.balance(brief.key) == Balance()
        assert state.balance(lasting.key) == Balance(1)

    def test_many_threads_never_pass_the_cap(self, state: State) -> None:
        """However they interleave."""
        name = key()

        def one(_: int) -> int:
            claim = Spend(name, cap=10, amount=1)
            call_id = reserve(state, claim)
            balance = state.balance(name)
            assert balance.spent + balance.reserved <= 10
            if isinstance(call_id, Denied):
                return 0
            state.settle(call_id, [claim], [1])
            return 1

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(one, range(100))) == 10
        assert state.balance(name) == Balance(10, 0)
