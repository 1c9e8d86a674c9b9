"""One receipt over several runs, read from the router's ledger."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Router, SQLiteLedger, Tier, Usage
from tierwise.attempt import Attempt
from tierwise.backends import FunctionBackend
from tierwise.errors import AllModelsFailedError, LedgerError, UnavailableError
from tierwise.ledger import Ledger, MemoryLedger, NoLedger

FLEET = Fleet(
    [Tier("small", ModelSpec("x:small", price=Price(1, 1))), Tier("large", ModelSpec("x:large", price=Price(100, 100)))]
)
USAGE = Usage(1000, 1000)


def answer(attempt: Attempt) -> Outcome:
    if attempt.task.latest_request == "down":
        raise UnavailableError("nobody is there")
    return Outcome(attempt, text=attempt.model.name, usage=USAGE)


def large_only(outcome: Outcome) -> bool:
    return outcome.attempt.tier == "large"


def make(ledger: Ledger | None = None) -> Router:
    return Router(FLEET, strategy=Cascade(large_only), backends={"x": answer}, ledger=ledger)


@pytest.fixture(params=["default", "sqlite"])
def router(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Router]:
    if request.param == "default":
        yield make()
    else:
        with SQLiteLedger(tmp_path / "ledger.db") as ledger:
            yield make(ledger)


def test_a_run_gives_the_receipt_of_its_reply(router: Router) -> None:
    reply = router.run("hi")
    receipt = router.receipt(reply.run_id)
    assert [r.call_id for r in receipt.rows] == [r.call_id for r in reply.attempts]
    assert [(r.purpose, r.tier, r.verdict) for r in receipt.rows] == [
        ("draft", "small", "reject"),
        ("answer", "large", "accept"),
    ]
    assert (receipt.cost, receipt.saving) == (reply.cost, reply.receipt.saving)


def test_several_runs_are_one_bill(router: Router) -> None:
    first, second = router.run("one"), router.run("two")
    router.run("another agent's")
    receipt = router.receipt(second.run_id, first.run_id)
    assert [r.run_id for r in receipt.rows] == [second.run_id] * 2 + [first.run_id] * 2
    assert receipt.cost == Decimal("0.404")


def test_a_session_gives_its_failed_runs_too(router: Router) -> None:
    reply = router.run("hi", session="s")
    with pytest.raises(AllModelsFailedError) as failed:
        router.run("down", session="s")
    router.run("hi", session="t")
    receipt = router.receipt(session="s")
    assert [r.error_type for r in receipt.rows] == [None, None, "UnavailableError", "UnavailableError"]
    assert {r.run_id for r in receipt.rows} == {reply.run_id, failed.value.run_id}
    assert len(router.receipt(failed.value.run_id).rows) == 2
    assert router.receipt(reply.run_id, session="s").cost == receipt.cost


async def test_every_way_to_run_is_recorded(router: Router) -> None:
    ids = [(await router.arun("hi")).run_id]
    with router.stream("hi") as stream:
        assert "".join(chunk.text for chunk in stream) == "large"
    async with router.astream("hi") as astream:
        assert "".join([chunk.text async for chunk in astream]) == "large"
    ids += [stream.reply.run_id, astream.reply.run_id]
    assert len(router.receipt(*ids).rows) == 6


def test_a_router_with_another_backend_has_the_same_ledger() -> None:
    router = make()
    reply = router.using(FunctionBackend(answer)).run("hi")
    assert router.receipt(reply.run_id).cost == reply.cost


def test_an_unknown_run_is_named_with_the_mend(router: Router) -> None:
    with pytest.raises(LedgerError, match=r"no call of run 'gone'"):
        router.receipt("gone")
    with pytest.raises(LedgerError, match=r"no call of session 'gone'"):
        router.receipt(session="gone")


def test_a_run_that_was_dropped_names_the_bound() -> None:
    router = make(MemoryLedger(max_runs=1))
    first = router.run("hi")
    router.run("hi")
    with pytest.raises(LedgerError, match=r"max_runs=1\).*larger one, or a path"):
        router.receipt(first.run_id)


def test_nothing_asked_for_is_refused(router: Router) -> None:
    with pytest.raises(LedgerError, match=r"receipt\(reply\.run_id\)"):
        router.receipt()


def test_a_ledger_that_cannot_be_read_is_named() -> None:
    router = make(NoLedger())
    reply = router.run("hi")
    with pytest.raises(LedgerError, match="NoLedger cannot be read"):
        router.receipt(reply.run_id)
