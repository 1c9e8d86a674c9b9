"""What the drivers promise of streams, over real HTTP: calls are closed, and what was produced is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Router, Single, Tier
from tierwise.errors import DeadlineError, StreamBrokenError
from tierwise.ledger.rows import Row
from tierwise.limits import Call, Limit
from tierwise.state import Claim, Slot, Taken
from tierwise.strategies import Vote, act_only
from tierwise.task import Task
from tierwise.testing.provider import LoopbackProvider, Reply

ollama = pytest.importorskip("tierwise_ollama")


class Kept:
    """A ledger that keeps the last of each row."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def begin(self, row: Row, task: Task) -> None:
        self.rows[row.call_id] = row

    async def abegin(self, row: Row, task: Task) -> None:
        self.begin(row, task)

    def settle(self, row: Row, outcome: Outcome | None = None) -> None:
        self.rows[row.call_id] = row


class Settled(Limit):
    name = "settled"

    def __init__(self) -> None:
        self.open = 0

    def claims(self, call: Call) -> Sequence[Claim]:
        self.open += 1
        return [Slot(self.name, size=9)]

    def taken(self, claim: Claim, outcome: Outcome, call: Call) -> Taken:
        self.open -= 1
        return None


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        running.on("small", Reply(text="One two three four.", stall_after=2))
        running.on("large", Reply(text="Large."))
        yield running


@pytest.fixture
def ledger() -> Kept:
    return Kept()


@pytest.fixture
def limit() -> Settled:
    return Settled()


def router(provider: LoopbackProvider, ledger: Kept, limit: Settled, **options: object) -> Router:
    fleet = Fleet(
        [
            Tier("small", ModelSpec("ollama:small", price=Price(1, 1))),
            Tier("large", ModelSpec("ollama:large", price=Price(9, 9))),
        ]
    )
    settings = {"strategy": Single(), "backends": {"ollama": ollama.OllamaBackend(provider.url)}} | options
    return Router(fleet, ledger=ledger, limits=[limit], **settings)  # pyright: ignore[reportArgumentType]


def check_interrupted(provider: LoopbackProvider, ledger: Kept, limit: Settled) -> None:
    provider.wait_idle()
    assert [c.client_closed for c in provider.calls] == [True]
    (row,) = ledger.rows.values()
    assert (row.state, row.finish_reason, row.error_type) == ("settled", "interrupted", None)
    assert row.usage is not None
    assert row.usage.estimated
    assert row.usage.output_tokens
    assert row.cost
    assert limit.open == 0


def test_an_early_stop_closes_the_call_at_the_provider(
    provider: LoopbackProvider, ledger: Kept, limit: Settled
) -> None:
    with router(provider, ledger, limit).stream("q") as stream:
        assert next(iter(stream)).text.strip() == "One"
        assert provider.open_calls == 1
    check_interrupted(provider, ledger, limit)


async def test_an_async_early_stop_does_too(provider: LoopbackProvider, ledger: Kept, limit: Settled) -> None:
    async with router(provider, ledger, limit).astream("q") as stream:
        async for _ in stream:
            break
    await asyncio.to_thread(check_interrupted, provider, ledger, limit)


async def test_cancelling_a_vote_closes_all_its_calls(provider: LoopbackProvider, ledger: Kept, limit: Settled) -> None:
    provider.on("large", Reply(stall=True))
    made = router(provider, ledger, limit, strategy=Vote(["small", "large", "small"]))
    running = asyncio.create_task(made.arun("q"))
    await asyncio.to_thread(provider.wait_until, lambda: provider.open_calls == 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(provider.wait_idle)
    assert [r.error_type for r in ledger.rows.values()] == ["CancelledError"] * 3
    assert limit.open == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_deadline_closes_the_call(provider: LoopbackProvider, ledger: Kept, limit: Settled, streamed: bool) -> None:
    made = router(provider, ledger, limit)

    def ask() -> None:
        if not streamed:
            made.run("q", deadline=0.3)
        with made.stream("q", deadline=0.3) as stream:
            list(stream)

    with pytest.raises(DeadlineError):
        ask()
    provider.wait_idle()
    assert limit.open == 0
    assert provider.count("large") == 0


def test_a_stream_that_breaks_is_billed_for_what_came(provider: LoopbackProvider, ledger: Kept, limit: Settled) -> None:
    provider.on("small", Reply(text="One two three four.", disconnect_after=2))
    with router(provider, ledger, limit).stream("q") as stream, pytest.raises(StreamBrokenError) as caught:
        list(stream)
    assert caught.value.partial == "One two"
    (row,) = caught.value.attempts
    assert row.usage is not None
    assert (row.usage.output_tokens, row.usage.estimated) == (2, True)
    assert limit.open == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_gate_that_aborts_closes_the_call_and_the_next_tier_answers(
    provider: LoopbackProvider, ledger: Kept, limit: Settled, streamed: bool
) -> None:
    made = router(provider, ledger, limit, strategy=Cascade(gate=act_only()))
    if streamed:
        with made.stream("q") as stream:
            assert "".join(c.text for c in stream) == "Large."
    else:
        assert made.run("q").text == "Large."
    provider.wait_idle()
    assert [(c.model, c.client_closed) for c in provider.calls] == [("small", True), ("large", False)]
    assert [r.finish_reason for r in ledger.rows.values()] == ["aborted", "stop"]
    assert limit.open == 0
