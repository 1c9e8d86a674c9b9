"""What every call goes through: limits, settlement, estimates, the record."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from typing import cast

import pytest
from tierwise import Fleet, ModelSpec, Price, Router, Task, Tier
from tierwise.attempt import Attempt, Outcome
from tierwise.fleet import Usage
from tierwise.ledger.rows import Row
from tierwise.limits import Call
from tierwise.state import Claim, Taken
from tierwise.strategies import (
    Cascade,
    Single,
    Vote,
)
from tierwise.testing import ScriptedBackend
from tierwise.verdict import Verdict

from .driving import FLEET, Counting, Driver, every_driver, nothing_is_held, router, sure


@every_driver
def test_a_refused_reservation_is_an_outcome_that_cost_nothing_and_the_flow_falls_back(drive: Driver) -> None:
    backend = ScriptedBackend({"*": "good"})
    got = drive(router(backend, Cascade(sure), limits=[Counting("small")]), Task("q"))
    assert got.answer is not None
    assert (got.rows[0].model, got.rows[0].state, got.rows[0].cost) == ("x:small", "refused", 0)
    assert backend.asked == ["x:spare"]


@every_driver
def test_a_limit_that_breaks_leaves_nothing_set_aside(drive: Driver) -> None:
    class Broken(Counting):
        def claims(self, call: Call) -> Sequence[Claim]:
            raise OSError("the limit is broken")

    made = router(ScriptedBackend({"*": "x"}), limits=[Counting(), Broken(name="broken")])
    with pytest.raises(OSError, match="limit is broken"):
        drive(made, Task("q"))
    assert nothing_is_held(made)


@every_driver
def test_every_claim_is_settled_even_if_one_limit_cannot_tell_or_the_ledger_breaks(drive: Driver) -> None:
    class Stuck(Counting):
        def taken(self, claim: Claim, outcome: Outcome, call: Call) -> Taken:
            raise OSError("stuck")

    class Full:
        def begin(self, row: Row, task: Task) -> None: ...
        async def abegin(self, row: Row, task: Task) -> None: ...
        def settle(self, row: Row, outcome: Outcome | None = None) -> None:
            raise OSError("disk full")

    first, last = Counting(name="first"), Counting(name="last")
    made = router(ScriptedBackend({"*": "x"}), limits=[first, Stuck(name="stuck"), last])
    with pytest.raises(OSError, match="stuck"):
        drive(made, Task("q"))
    assert first.is_balanced()
    assert last.is_balanced()
    assert nothing_is_held(made)
    made = router(ScriptedBackend({"*": "x"}), limits=[first], ledger=Full())
    with pytest.raises(OSError, match="disk full"):
        drive(made, Task("q"))
    assert first.is_balanced()
    assert nothing_is_held(made)


@every_driver
def test_an_answer_without_counts_is_estimated_and_says_so(drive: Driver) -> None:
    fleet = Fleet([Tier("only", ModelSpec("x:m", price=Price(1, 1)))])
    for made in ("four char" * 4, Outcome(cast("Attempt", None), text="four", usage=Usage(7, None))):
        got = drive(Router(fleet, strategy=Single(), backends={"x": ScriptedBackend({"*": made})}), Task("q" * 40))
        (row,) = got.rows
        assert row.usage is not None
        assert row.usage.estimated
        assert row.usage.input_tokens in (11, 7)
        assert row.cost


# What the user reads afterwards.


def test_only_the_call_that_was_delivered_counts_as_the_answer() -> None:
    fleet = Fleet([Tier("a", ModelSpec("x:a", price=Price(1, 1))), Tier("b", ModelSpec("x:b", price=Price(9, 9)))])
    usage = Usage(1_000_000, 0)
    backend = ScriptedBackend({"*": Outcome(cast("Attempt", None), text="7", usage=usage)})
    reply = Router(fleet, strategy=Vote([Single(), Single(), "b"]), backends={"x": backend}).run("q")
    assert [r.purpose for r in reply.attempts] == ["answer", "vote", "vote"]
    assert reply.receipt.saving is not None
    assert (reply.receipt.saving.baseline_cost, reply.cost, reply.receipt.saving.usd) == (9, 11, -2)


@every_driver
def test_the_free_part_of_the_strategys_verifier_is_said_of_an_answer_shown_live(drive: Driver) -> None:
    def known(outcome: Outcome) -> Verdict:
        return Verdict("accept", "known", verifier="mine")

    got = drive(router(ScriptedBackend({"*": "x"}), Single(known)), Task("q"))
    assert got.answer is not None
    assert (got.answer[2], got.rows[0].verifier) == ("verified", "mine")


def test_nothing_is_left_for_the_garbage_collector() -> None:
    """An async generator that nobody closed would be a warning here, and warnings are errors."""

    async def main() -> None:
        made = Router(FLEET, strategy=Single(), backends={"x": lambda _: "one two"})
        async with made.astream("q") as stream:
            async for _ in stream:
                break

    asyncio.run(main())
    gc.collect()


class _Request:
    """A framework's own request: it is gone when the run is that it was made for."""


@pytest.mark.parametrize("left_early", [False, True])
def test_a_streamed_run_is_gone_with_its_stream_and_waits_for_no_garbage_collector(left_early: bool) -> None:
    made = Router(FLEET, strategy=Single(), backends={"x": lambda _: "one two"})

    def stream(request: _Request) -> None:
        with made.stream(Task("q", native=request)) as chunks:
            for _ in chunks:
                if left_early:
                    break

    async def astream(request: _Request) -> None:
        async with made.astream(Task("q", native=request)) as chunks:
            async for _ in chunks:
                if left_early:
                    break

    async def main() -> list[weakref.ref[_Request]]:
        requests = _Request(), _Request()
        stream(requests[0])
        await astream(requests[1])
        return [weakref.ref(request) for request in requests]

    gc.disable()
    try:
        assert [kept() for kept in asyncio.run(main())] == [None, None]
    finally:
        gc.enable()
