"""What every `State` has to do: what is reserved and settled adds up, whatever store keeps it.

Subclass `StateConformance` in a test file, and give it a state by the fixture `state`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tierwise.ids import new_id
from tierwise.state import (
    Balance,
    Circuit,
    Claim,
    Denied,
    Granted,
    Observed,
    Once,
    Rate,
    Signal,
    Slot,
    Spend,
    State,
    Taken,
    Turn,
)

__all__ = ["StateConformance"]

Wait = Callable[[float], None]

_LEASE = 600.0


def reserve(state: State, *claims: Claim, lease: float = _LEASE, least: int = 0, most: int = 0) -> str | Denied:
    """Reserves for a new call; gives its id, or why not."""
    call_id = new_id()
    said = state.reserve(call_id, claims, lease=lease, least=least, most=most)
    return said if isinstance(said, Denied) else call_id


def reserved(state: State, *claims: Claim, lease: float = _LEASE) -> str:
    """Reserves for a new call, which must be granted; gives its id."""
    said = reserve(state, *claims, lease=lease)
    assert isinstance(said, str), said
    return said


def refused(state: State, *claims: Claim) -> Denied:
    """Tries to reserve for a new call, which must be denied."""
    said = reserve(state, *claims)
    assert isinstance(said, Denied), said
    return said


def key() -> str:
    """A key that no other test uses."""
    return f"key {new_id()}"


class StateConformance:
    """The contract of a state. A subclass gives the fixture `state`, and `passes` where its clock can be set."""

    @pytest.fixture
    def state(self) -> Any:
        """The state under test."""
        raise NotImplementedError

    @pytest.fixture
    def passes(self) -> Wait:
        """Lets seconds pass on the state's clock; by default they really do, so tests ask for few."""
        return time.sleep

    # Accounts.

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
            assert isinstance(state.reserve(call_id, [claim], lease=_LEASE), Granted)
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
        assert state.reserve(call_id, [rich, poor], lease=_LEASE, least=64, most=4_096) == Granted(300)
        assert (state.balance(rich.key).reserved, state.balance(poor.key).reserved) == (310, 1_000)
        state.settle(call_id, [rich, poor], [0, 0])
        assert state.reserve(new_id(), [rich], lease=_LEASE, least=64, most=4_096) == Granted(4_096)
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

    # Slots.

    def test_a_slot_is_held_until_the_call_ends(self, state: State, passes: Wait) -> None:
        """Or until its lease does."""
        claim = Slot(key(), size=2)
        first = reserved(state, claim)
        reserved(state, claim, lease=0.5)
        denied = refused(state, claim)
        assert (denied.reserved, denied.cap) == (2, 2)
        assert denied.retry_after is not None
        state.settle(first, [claim], [None])
        reserved(state, claim)
        passes(0.6)
        reserved(state, claim)
        refused(state, claim)

    # Rates.

    def test_a_rate_allows_a_burst_and_then_refills_evenly(self, state: State, passes: Wait) -> None:
        """Two in a second: two at once, and one each half second after."""
        claim = Rate(key(), limit=2, period=1.0)
        for _ in range(2):
            reserved(state, claim)
        denied = refused(state, claim)
        assert denied.retry_after is not None
        assert 0 < denied.retry_after < 0.51
        passes(denied.retry_after + 0.01)
        reserved(state, claim)

    def test_a_rate_is_corrected_by_what_was_taken(self, state: State) -> None:
        """What was not needed is there for others; what was needed on top is not."""
        claim = Rate(key(), limit=100, period=1_000.0, amount=60)
        first = reserved(state, claim)
        refused(state, claim)
        state.settle(first, [claim], [10])
        second = reserved(state, claim)
        state.settle(second, [claim], [90])
        assert (refused(state, Rate(claim.key, limit=100, period=1_000.0)).retry_after or 0) > 0

    def test_more_than_a_burst_never_goes(self, state: State) -> None:
        """So it is no use to wait."""
        assert refused(state, Rate(key(), limit=100, period=1.0, amount=101)).retry_after is None

    # Lines.

    def _goes(self, state: State, calls: Sequence[tuple[str, Sequence[Claim]]]) -> list[str]:
        """Each of the calls asks again and again, for the only place there is; the order in which they go."""
        order: list[str] = []
        waiting = list(calls)
        while waiting:
            went = [call for call in waiting if isinstance(self._asks(state, *call), Granted)]
            assert len(went) == 1, "there is one place, and somebody's turn it is"
            state.settle(*went[0], [None] * len(went[0][1]))
            waiting.remove(went[0])
            order.append(went[0][0].rpartition(" ")[2])
        return order

    def _asks(self, state: State, call_id: str, claims: Sequence[Claim]) -> Granted | Denied:
        return state.reserve(call_id, claims, lease=_LEASE, wait=_LEASE)

    def _lined_up(self, state: State, names: Sequence[str]) -> tuple[str, list[tuple[str, Sequence[Claim]]]]:
        """Calls that wait for one place, which another call has; the party of each is its first letter."""
        name, slot = key(), Slot(key(), size=1)
        calls: list[tuple[str, Sequence[Claim]]] = [
            (f"{name} {call}", [slot, Turn(name, party=call[0])]) for call in names
        ]
        holder = reserved(state, slot, Turn(name, party="holder"))
        for place, call in enumerate(calls):
            denied = self._asks(state, *call)
            assert isinstance(denied, Denied)
            assert denied.retry_after is not None
            assert denied.ahead <= place
        state.settle(holder, [slot], [None])
        return name, calls

    def test_those_who_wait_go_in_the_order_in_which_they_came(self, state: State) -> None:
        """Whoever asks first when the place is free."""
        names = [f"a{i}" for i in range(5)]
        _, calls = self._lined_up(state, names)
        assert self._goes(state, calls[::-1]) == names

    def test_parties_take_turns_however_many_calls_each_has(self, state: State) -> None:
        """A hundred calls of one hold up another's single call by one."""
        crowd = [f"a{i}" for i in range(20)]
        _, calls = self._lined_up(state, [*crowd, "b0", "c0", "b1"])
        order = self._goes(state, calls[::-1])
        assert order[:6] == ["a0", "b0", "c0", "a1", "b1", "a2"]
        assert [name for name in order if name[0] == "a"] == crowd

    def test_who_comes_when_others_wait_does_not_go_before_them(self, state: State) -> None:
        """Though a place is free at that moment, and whether it would wait itself or not."""
        name, calls = self._lined_up(state, ["a0"])
        slot = calls[0][1][0]
        assert refused(state, slot, Turn(name, party="b")).ahead == 1
        assert self._goes(state, calls) == ["a0"]
        reserved(state, slot, Turn(name, party="b"))

    def test_there_is_room_for_as_many_as_there_are_places(self, state: State) -> None:
        """The second in line need not wait until the first has asked."""
        name, two = key(), Slot(key(), size=2)
        held = [reserved(state, two) for _ in range(2)]
        waiting = [(f"{name} {i}", [two, Turn(name, party="a")]) for i in range(3)]
        assert all(isinstance(self._asks(state, *call), Denied) for call in waiting)
        for call_id in held:
            state.settle(call_id, [two], [None])
        assert isinstance(self._asks(state, *waiting[2]), Denied)
        assert isinstance(self._asks(state, *waiting[1]), Granted)
        assert isinstance(self._asks(state, *waiting[0]), Granted)

    def test_a_large_call_is_not_passed_by_small_ones_for_ever(self, state: State, passes: Wait) -> None:
        """What is there is kept for it until it is enough."""
        name, rate = key(), key()

        def claims(amount: int) -> list[Claim]:
            return [Rate(rate, limit=100, period=10.0, amount=amount), Turn(name, party=str(amount))]

        reserved(state, *claims(100))
        assert isinstance(self._asks(state, f"{name} large", claims(10)), Denied)
        passes(0.5)
        assert refused(state, *claims(1)).ahead == 1
        passes(0.6)
        assert isinstance(self._asks(state, f"{name} large", claims(10)), Granted)

    def test_who_does_not_ask_again_in_time_is_forgotten(self, state: State, passes: Wait) -> None:
        """A process that dies while it waits holds nobody up for long."""
        slot, name = Slot(key(), size=1), key()
        holder = reserved(state, slot)
        dead = state.reserve(f"{name} dead", [slot, Turn(name, party="a")], lease=_LEASE, wait=0.3)
        assert isinstance(dead, Denied)
        state.settle(holder, [slot], [None])
        refused(state, slot, Turn(name, party="b"))
        passes(0.4)
        reserved(state, slot, Turn(name, party="b"))

    def test_who_gives_up_leaves_the_line(self, state: State) -> None:
        """By settling, as a call that was made does."""
        _, calls = self._lined_up(state, ["a0", "b0"])
        state.settle(*calls[0], [None, None])
        assert self._goes(state, calls[1:]) == ["b0"]
        reserved(state, *calls[0][1])

    # Circuits.

    def _call(self, state: State, claim: Circuit, signal: Signal | None) -> None:
        state.settle(reserved(state, claim), [claim], [signal])

    def test_a_circuit_opens_after_failures_in_a_row(self, state: State) -> None:
        """A success between them begins the count anew; what says nothing does not count."""
        claim = Circuit(key(), failures=2, cooldown=60, longest=600)
        said: list[Signal | None] = [Signal("bad"), Signal("good"), Signal("bad"), Signal("unknown"), None]
        for signal in said:
            self._call(state, claim, signal)
        self._call(state, claim, Signal("bad"))
        denied = refused(state, claim)
        assert denied.retry_after is not None
        assert 50 < denied.retry_after <= 60

    def test_a_circuit_opens_at_once_where_nobody_is_there_and_the_longer_cooldown_wins(self, state: State) -> None:
        """Whichever comes first."""
        claim = Circuit(key(), failures=5, cooldown=10, longest=600)
        calls = [reserved(state, claim) for _ in range(3)]
        for call_id, asked in zip(calls, (None, 300.0, 20.0), strict=True):
            state.settle(call_id, [claim], [Signal("down", retry_after=asked)])
        assert (refused(state, claim).retry_after or 0) > 250

    def test_half_open_one_call_goes_and_its_success_closes_the_circuit(self, state: State, passes: Wait) -> None:
        """All others wait for what it finds."""
        claim = Circuit(key(), failures=1, cooldown=0.05, longest=600)
        self._call(state, claim, Signal("bad"))
        passes(0.1)

        def one(i: int) -> Granted | Denied:
            return state.reserve(f"{claim.key} {i}", [claim], lease=_LEASE)

        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(one, range(100)))
        assert said.count(Granted(0, probe=True)) == 1
        probe = said.index(Granted(0, probe=True))
        state.settle(f"{claim.key} {probe}", [claim], [Signal("good")])
        assert one(100) == one(101) == Granted(0)

    def test_half_open_a_failed_probe_opens_it_for_longer(self, state: State, passes: Wait) -> None:
        """Twice as long each time, up to the longest."""
        claim = Circuit(key(), failures=1, cooldown=0.3, longest=10)
        self._call(state, claim, Signal("bad"))
        passes(0.35)
        self._call(state, claim, Signal("bad"))
        assert 0.3 < (refused(state, claim).retry_after or 0) < 0.61

    def test_a_probe_that_never_ends_gives_way_when_its_lease_is_over(self, state: State, passes: Wait) -> None:
        """So does one that says nothing."""
        claim = Circuit(key(), failures=1, cooldown=0.05, longest=600)
        self._call(state, claim, Signal("bad"))
        passes(0.1)
        reserved(state, claim, lease=0.5)
        refused(state, claim)
        passes(0.6)
        self._call(state, claim, None)
        reserved(state, claim)

    def test_a_probe_that_takes_too_long_gives_way_though_it_has_not_ended(self, state: State, passes: Wait) -> None:
        """And what it finds in the end still counts."""
        claim = Circuit(key(), failures=1, cooldown=0.05, longest=600, probe=0.5)
        self._call(state, claim, Signal("bad"))
        passes(0.1)
        slow = reserved(state, claim)
        assert (refused(state, claim).retry_after or 0) <= 0.5
        passes(0.6)
        reserved(state, claim)
        refused(state, claim)
        state.settle(slow, [claim], [Signal("good")])
        reserved(state, claim)
        reserved(state, claim)

    def test_a_provider_that_names_a_time_is_left_alone_for_that_time(self, state: State, passes: Wait) -> None:
        """No longer, and whether or not anything is wrong with it."""
        claim = Circuit(key(), failures=2, cooldown=60, longest=600)
        for signal in (Signal("unknown", retry_after=0.5), Signal("bad", retry_after=0.5)):
            self._call(state, claim, signal)
            assert 0 < (refused(state, claim).retry_after or 0) <= 0.5
            passes(0.6)
            self._call(state, claim, Signal("good"))
            self._call(state, claim, None)

    def test_a_longer_cooldown_that_comes_later_holds_and_a_shorter_one_does_not(self, state: State) -> None:
        """Calls that began before the circuit opened bring it."""
        claim = Circuit(key(), failures=1, cooldown=10, longest=600)
        early = [reserved(state, claim) for _ in range(4)]
        for call_id, asked in zip(early, (20.0, 300.0, 30.0, None), strict=True):
            state.settle(call_id, [claim], [Signal("unknown" if asked else "bad", retry_after=asked)])
        assert 250 < (refused(state, claim).retry_after or 0) <= 300

    def test_a_late_success_of_a_call_that_began_before_says_nothing_of_an_open_circuit(self, state: State) -> None:
        """It stays open."""
        claim = Circuit(key(), failures=1, cooldown=60, longest=600)
        early = reserved(state, claim)
        self._call(state, claim, Signal("bad"))
        state.settle(early, [claim], [Signal("good")])
        refused(state, claim)

    def test_policies_can_ask_for_how_long_a_circuit_is_open(self, state: State, passes: Wait) -> None:
        """At no cost to anybody, and for a store outside of this process as far as it was heard of last."""
        claim = Circuit(key(), failures=1, cooldown=60, longest=600)
        self._call(state, claim, Signal("bad"))
        assert 50 < (state.open_for(claim.key) or 0) <= 60
        other = Circuit(key(), failures=1, cooldown=0.05, longest=600)
        self._call(state, other, Signal("bad"))
        passes(0.1)
        assert (state.open_for(other.key), state.open_for(key())) == (None, None)

    # Several kinds together.

    def test_of_several_denials_the_one_that_holds_up_for_longest_is_told(self, state: State) -> None:
        """Waiting for another would be in vain."""
        slot, rate, spend = Slot(key(), size=1), Rate(key(), limit=1, period=60.0), Spend(key(), cap=1, amount=1)
        reserved(state, slot, rate)
        assert refused(state, slot, rate).index == 1
        reserved(state, spend)
        assert refused(state, slot, spend, rate).index == 1

    # How models have done.

    def test_latency_and_error_rate_are_moving_averages(self, state: State) -> None:
        """Nothing is known of a model that was never called."""
        model = key()
        assert (state.latency(model), state.error_rate(model)) == (None, None)
        state.settle(new_id(), [], [], Observed(model, 2.0))
        assert (state.latency(model), state.error_rate(model)) == (2.0, 0.0)
        state.observe(Observed(model, failed=True))
        assert state.latency(model) == 2.0
        assert 0 < (state.error_rate(model) or 0) < 1
        state.observe(Observed(model, 1.0))
        assert 1.0 < (state.latency(model) or 0) < 2.0

    def test_an_error_rate_fades_while_nobody_calls(self, state: State, passes: Wait) -> None:
        """So that there is a way back."""
        model, other = key(), key()
        for name in (model, other):
            state.observe(Observed(name, failed=True))
        passes(1.5)
        state.observe(Observed(model, failed=True))
        state.observe(Observed(other, 1.0))
        assert 0.98 < (state.error_rate(model) or 0) < 1
        assert 0.75 < (state.error_rate(other) or 0) < 0.8

    def test_a_session_keeps_its_tier(self, state: State) -> None:
        """And how long it has been idle."""
        name = key()
        assert (state.session_tier(name), state.session_idle(name)) == (None, None)
        state.keep_session(name, "small", 100)
        state.keep_session(name, "large", 200)
        assert state.session_tier(name) == ("large", 200)
        assert 0 <= (state.session_idle(name) or 0.0) < 60

    # Runs that are made once.

    def test_a_key_is_taken_once_and_what_came_of_the_run_is_given_to_all_who_ask(self, state: State) -> None:
        """Whoever asks while the run is under way is told how long it may take."""
        name = key()
        assert state.begin_once(name, "request", "run 1", lease=_LEASE) == Once("new", "run 1")
        assert state.begin_once(name, "request", "run 1", lease=_LEASE) == Once("new", "run 1"), "asked again"
        running = state.begin_once(name, "request", "run 2", lease=_LEASE)
        assert running[:2] == ("running", "run 1")
        assert 0 < running.left <= _LEASE
        state.end_once(name, "run 1", '{"text": "a reply"}', keep=60)
        done = Once("done", "run 1", body='{"text": "a reply"}')
        assert state.begin_once(name, "request", "run 2", lease=_LEASE) == done
        assert state.begin_once(name, "request", "run 3", lease=_LEASE, again=True) == done

    def test_a_key_is_of_one_request(self, state: State) -> None:
        """Whether its run is under way, done or lost."""
        name = key()
        state.begin_once(name, "request", "run 1", lease=_LEASE)
        assert state.begin_once(name, "another", "run 2", lease=_LEASE) == Once("other", "run 1")
        for body in (None, "body"):
            state.end_once(name, "run 1", body, keep=60)
            assert state.begin_once(name, "another", "run 2", lease=_LEASE, again=True) == Once("other", "run 1")

    def test_a_run_that_is_not_heard_of_any_more_is_unknown(self, state: State, passes: Wait) -> None:
        """It is made again only for who says so; and if it ends after all, its end counts."""
        name, late = key(), key()
        for one in (name, late):
            state.begin_once(one, "request", "run 1", lease=0.05)
        passes(0.1)
        assert state.begin_once(name, "request", "run 2", lease=_LEASE) == Once("unknown", "run 1")
        assert state.begin_once(name, "request", "run 3", lease=_LEASE, again=True) == Once("new", "run 3")
        state.end_once(name, "run 1", "too late", keep=60)
        assert state.begin_once(name, "request", "run 4", lease=_LEASE, again=True)[:2] == ("running", "run 3")
        state.end_once(late, "run 1", "late", keep=60)
        assert state.begin_once(late, "request", "run 2", lease=_LEASE) == Once("done", "run 1", body="late")

    def test_a_run_may_say_that_its_outcome_is_unknown_or_give_the_key_back(self, state: State) -> None:
        """It was broken off in the middle; or it was never begun."""
        name = key()
        state.begin_once(name, "request", "run 1", lease=_LEASE)
        state.end_once(name, "run 1", None, keep=60)
        assert state.begin_once(name, "request", "run 2", lease=_LEASE) == Once("unknown", "run 1")
        assert state.begin_once(name, "request", "run 2", lease=_LEASE, again=True) == Once("new", "run 2")
        state.end_once(name, "run 2", None, keep=0)
        assert state.begin_once(name, "another", "run 3", lease=_LEASE) == Once("new", "run 3")

    def test_what_is_kept_is_forgotten_in_time(self, state: State, passes: Wait) -> None:
        """The key is free then."""
        name = key()
        state.begin_once(name, "request", "run 1", lease=_LEASE)
        state.end_once(name, "run 1", "body", keep=0.05)
        passes(0.1)
        assert state.begin_once(name, "another", "run 2", lease=_LEASE) == Once("new", "run 2")

    def test_of_many_threads_one_gets_the_key(self, state: State) -> None:
        """However they interleave, also where it is taken over."""
        name = key()

        def one(number: int) -> bool:
            return state.begin_once(name, "request", f"run {number}", lease=_LEASE, again=True).state == "new"

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(one, range(40))) == 1
            state.end_once(name, state.begin_once(name, "request", "run", lease=_LEASE).run_id, None, keep=60)
            assert sum(pool.map(one, range(40, 80))) == 1

    # Async.

    async def test_the_async_twins_do_the_same(self, state: State) -> None:
        """On the same records."""
        claim, call_id = Spend(key(), cap=100, amount=60), new_id()
        taken: Sequence[Taken] = [45]
        assert isinstance(await state.areserve(call_id, [claim], lease=_LEASE), Granted)
        assert await state.abalance(claim.key) == Balance(0, 60)
        await state.asettle(call_id, [claim], taken)
        await state.alift(claim.key, 200)
        assert await state.abalance(claim.key) == Balance(45, 0, 200)
        assert await state.abegin_once(claim.key, "request", call_id, lease=_LEASE) == Once("new", call_id)
        await state.aend_once(claim.key, call_id, "body", keep=60)
        done = Once("done", call_id, body="body")
        assert await state.abegin_once(claim.key, "request", new_id(), lease=_LEASE) == done

    async def test_a_settlement_comes_to_its_end_though_who_awaits_it_is_cancelled(self, state: State) -> None:
        """Nothing is left half done."""
        claim, call_id = Spend(key(), cap=100, amount=60), new_id()
        await state.areserve(call_id, [claim], lease=_LEASE)
        task = asyncio.create_task(state.asettle(call_id, [claim], [45]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await state.abalance(claim.key) == Balance(45, 0)
