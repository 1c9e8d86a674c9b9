"""Slots and rates, and the lines of those who wait for them."""

from __future__ import annotations

from collections.abc import Sequence

from tierwise.state import (
    Claim,
    Denied,
    Granted,
    Rate,
    Slot,
    State,
    Turn,
)
from tierwise.testing.conformance.state.suite import LEASE, StateSuite, Wait, key, refused, reserved

__all__ = ["Places"]


class Places(StateSuite):
    """Slots and rates, and the lines of those who wait for them."""

    def test_a_slot_is_held_until_the_call_ends(self, state: State, passes: Wait) -> None:
        """Or until its lease does."""
        claim = Slot(key(), size=2)
        first = reserved(state, claim)
        second = reserved(state, claim)
        denied = refused(state, claim)
        assert (denied.reserved, denied.cap) == (2, 2)
        assert denied.retry_after is not None
        for ended in (first, second):
            state.settle(ended, [claim], [None])
        reserved(state, claim)
        reserved(state, claim, lease=0.05)
        passes(0.1)
        reserved(state, claim)
        refused(state, claim)

    def test_a_rate_allows_a_burst_and_then_refills_evenly(self, state: State, passes: Wait) -> None:
        """Two in two minutes: two at once, and one each minute after."""
        claim, quick = Rate(key(), limit=2, period=120.0), Rate(key(), limit=2, period=0.2)
        for _ in range(2):
            reserved(state, claim)
        assert 30 < (refused(state, claim).retry_after or 0) <= 60
        reserved(state, quick._replace(amount=2))
        passes(0.11)
        reserved(state, quick)

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
        return state.reserve(call_id, claims, lease=LEASE, wait=LEASE)

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

    def test_a_large_call_is_not_passed_by_small_ones_for_ever(self, state: State) -> None:
        """What is there is kept for it until it is enough."""
        name, rate = key(), key()

        def claims(amount: int) -> list[Claim]:
            # By itself it refills far too slowly to matter.
            return [Rate(rate, limit=100, period=1e6, amount=amount), Turn(name, party=str(amount))]

        first, second = reserved(state, *claims(50)), reserved(state, *claims(50))
        assert isinstance(self._asks(state, f"{name} large", claims(10)), Denied)
        state.settle(first, claims(50), [45, None])
        assert refused(state, *claims(1)).ahead == 1
        state.settle(second, claims(50), [45, None])
        assert isinstance(self._asks(state, f"{name} large", claims(10)), Granted)

    def test_who_does_not_ask_again_in_time_is_forgotten(self, state: State, passes: Wait) -> None:
        """A process that dies while it waits holds nobody up for long."""
        for wait, forgotten in ((0.05, True), (LEASE, False)):
            slot, name = Slot(key(), size=1), key()
            holder = reserved(state, slot)
            dead = state.reserve(f"{name} dead", [slot, Turn(name, party="a")], lease=LEASE, wait=wait)
            assert isinstance(dead, Denied)
            state.settle(holder, [slot], [None])
            passes(0.2)
            next_one = reserved if forgotten else refused
            next_one(state, slot, Turn(name, party="b"))

    def test_who_gives_up_leaves_the_line(self, state: State) -> None:
        """By settling, as a call that was made does."""
        _, calls = self._lined_up(state, ["a0", "b0"])
        state.settle(*calls[0], [None, None])
        assert self._goes(state, calls[1:]) == ["b0"]
        reserved(state, *calls[0][1])
