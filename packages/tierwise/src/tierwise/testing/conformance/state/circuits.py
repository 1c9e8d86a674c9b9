"""Circuits close and open for all callers at once, and are tried by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tierwise.state import (
    Circuit,
    Denied,
    Granted,
    Rate,
    Signal,
    Slot,
    Spend,
    State,
)
from tierwise.testing.conformance.state.suite import LEASE, StateSuite, Wait, key, refused, reserved

__all__ = ["Circuits"]


class Circuits(StateSuite):
    """Circuits close and open for all callers at once, and are tried by one."""

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
            return state.reserve(f"{claim.key} {i}", [claim], lease=LEASE)

        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(one, range(100)))
        assert said.count(Granted(0, probe=True)) == 1
        probe = said.index(Granted(0, probe=True))
        state.settle(f"{claim.key} {probe}", [claim], [Signal("good")])
        assert one(100) == one(101) == Granted(0)

    def test_half_open_a_failed_probe_opens_it_for_longer(self, state: State, passes: Wait) -> None:
        """Twice as long each time, up to the longest."""
        for longest, most in ((600, 120), (90, 90)):
            claim = Circuit(key(), failures=1, cooldown=60, longest=longest)
            self._call(state, claim._replace(cooldown=0.05), Signal("bad"))
            passes(0.1)
            self._call(state, claim, Signal("bad"))
            assert most - 30 < (refused(state, claim).retry_after or 0) <= most

    def test_a_probe_that_never_ends_gives_way_when_its_lease_is_over(self, state: State, passes: Wait) -> None:
        """So does one that says nothing. One whose lease goes on does not."""
        brief, lasting = (Circuit(key(), failures=1, cooldown=0.05, longest=600) for _ in range(2))
        for claim in (brief, lasting):
            self._call(state, claim, Signal("bad"))
        passes(0.1)
        reserved(state, brief, lease=0.05)
        reserved(state, lasting)
        passes(0.1)
        refused(state, lasting)
        self._call(state, brief, None)
        reserved(state, brief)

    def test_a_probe_that_takes_too_long_gives_way_though_it_has_not_ended(self, state: State, passes: Wait) -> None:
        """And what it finds in the end still counts."""
        claim = Circuit(key(), failures=1, cooldown=0.05, longest=600, probe=60)
        self._call(state, claim, Signal("bad"))
        passes(0.1)
        slow = reserved(state, claim._replace(probe=0.05))
        passes(0.1)
        reserved(state, claim)
        assert 30 < (refused(state, claim).retry_after or 0) <= 60
        state.settle(slow, [claim], [Signal("good")])
        reserved(state, claim)
        reserved(state, claim)

    def test_a_provider_that_names_a_time_is_left_alone_for_that_time(self, state: State, passes: Wait) -> None:
        """No longer, and whether or not anything is wrong with it."""
        claim = Circuit(key(), failures=2, cooldown=600, longest=600)
        for health in ("unknown", "bad"):
            self._call(state, claim, Signal(health, retry_after=0.05))
            passes(0.1)
            self._call(state, claim, Signal("good"))
            self._call(state, claim, None)
        for health in ("unknown", "bad"):
            other = claim._replace(key=key())
            self._call(state, other, Signal(health, retry_after=60))
            assert 30 < (refused(state, other).retry_after or 0) <= 60

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
