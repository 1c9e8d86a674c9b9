"""What of a streamed call is shown."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from tierwise import Task, ToolCall
from tierwise.attempt import Attempt, Chunk, GateAnswer, Outcome, Prefix
from tierwise.errors import (
    StreamBrokenError,
    UnavailableError,
)
from tierwise.fleet import Usage
from tierwise.flow import Flow, call, gather
from tierwise.strategies import (
    Cascade,
    Single,
    Strategy,
    Vote,
    act_only,
)
from tierwise.testing import HANG, ScriptedBackend, Stream

from .driving import DOWN, FLEET, Counting, Driver, every_driver, every_stream, gate, router, sure

# Streams: what is visible, what is withheld, what breaks.


@every_stream
def test_chunks_come_as_they_are_made(drive: Driver) -> None:
    backend = ScriptedBackend({"small": "one two three"})
    got = drive(router(backend), Task("q"))
    assert [c.text for c in got.shown if c.text] == ["one", " two", " three"]
    assert got.rows[0].first_token is not None


@every_stream
def test_nothing_is_given_before_the_first_visible_chunk(drive: Driver) -> None:
    hidden = Stream("", Chunk(thinking="hm"), Chunk(usage=Usage(1, 1)), " ", DOWN)
    backend = ScriptedBackend({"small": hidden, "spare": "from spare"})
    got = drive(router(backend), Task("q"))
    assert got.text == "from spare"
    assert all(c.thinking == "" for c in got.shown)
    assert [r.error_type for r in got.rows] == ["UnavailableError", None]


@every_stream
def test_what_was_withheld_comes_with_the_first_visible_chunk(drive: Driver) -> None:
    backend = ScriptedBackend({"small": Stream(Chunk(thinking="hm"), " ", "Yes", ".")})
    got = drive(router(backend), Task("q"))
    assert [(c.thinking, c.text) for c in got.shown] == [("hm", ""), ("", " "), ("", "Yes"), ("", ".")]


@every_stream
def test_a_stream_that_breaks_after_something_was_shown_is_an_error_with_the_partial_text(drive: Driver) -> None:
    backend = ScriptedBackend({"small": Stream("Once", " upon", UnavailableError("cut")), "spare": "never"})
    got = drive(router(backend), Task("q"))
    assert isinstance(got.error, StreamBrokenError)
    assert (got.text, got.error.partial) == ("Once upon", "Once upon")
    assert backend.asked == ["x:small"]
    (row,) = got.rows
    assert row.error_type == "UnavailableError"
    assert row.usage is not None
    assert (row.usage.output_tokens, row.usage.estimated) == (3, True)


@every_stream
def test_counts_that_came_before_a_break_are_not_the_last_word(drive: Driver) -> None:
    begun = Chunk(text="Once upon a time", usage=Usage(5, 1))
    got = drive(router(ScriptedBackend({"small": Stream(begun, UnavailableError("cut"))})), Task("q"))
    assert got.rows[0].usage == Usage(5, 4, estimated=True)


@every_stream
def test_a_defect_in_a_stream_propagates(drive: Driver) -> None:
    limit = Counting()
    with pytest.raises(KeyError, match="defect"):
        drive(router(ScriptedBackend({"small": Stream("Once", KeyError("defect"))}), limits=[limit]), Task("q"))
    assert limit.is_balanced()


@every_stream
def test_a_tool_call_that_is_written_as_text_is_shown_as_a_tool_call(drive: Driver) -> None:
    text = 'Sure. <tool_call>{"name": "f", "arguments": {}}</tool_call>'
    for written in ('{"name": "f", "arguments": {}}', text):
        got = drive(router(ScriptedBackend({"small": written})), Task("q", tools=[{"name": "f"}]))
        assert got.answer is not None
        assert [c.name for c in got.answer[1]] == ["f"]
        assert [c.name for chunk in got.shown for c in chunk.tool_calls] == ["f"]
    json = drive(router(ScriptedBackend({"small": '{"a": 1, "b": 2}'})), Task("q", tools=[{"name": "f"}]))
    assert json.text == '{"a": 1, "b": 2}'


def test_an_early_stop_closes_flow_and_call_and_settles_a_flagged_estimate() -> None:
    backend, limit = ScriptedBackend({"small": "one two three four"}), Counting()
    made = router(backend, limits=[limit])
    with made.stream("q") as stream:
        assert next(iter(stream)).text == "one"
        assert backend.open_calls == 1
    assert (backend.open_calls, backend.cut_calls) == (0, 1)
    (settled,) = limit.given[0].settled
    assert settled.finish_reason == "interrupted"
    assert settled.usage is not None
    assert (settled.usage.output_tokens, settled.usage.estimated) == (1, True)
    assert list(stream) == []
    with pytest.raises(RuntimeError, match="not come to its end"):
        _ = stream.reply


async def test_an_early_stop_of_an_async_consumer_does_the_same() -> None:
    backend, limit = ScriptedBackend({"small": "one two three four"}), Counting()
    async with router(backend, limits=[limit]).astream("q") as stream:
        async for chunk in stream:
            assert chunk.text == "one"
            break
        assert backend.open_calls == 1
    assert (backend.open_calls, backend.cut_calls) == (0, 1)
    (settled,) = limit.given[0].settled
    assert settled.usage is not None
    assert settled.usage.estimated
    assert [chunk async for chunk in stream] == []


async def test_a_consumer_that_leaves_after_the_providers_counts_keeps_them() -> None:
    parts = Stream("one", Chunk(text=" two", usage=Usage(9, 2), finish_reason="stop"), Chunk())
    backend, limit = ScriptedBackend({"small": parts}), Counting()
    async with router(backend, limits=[limit]).astream("q") as stream:
        async for chunk in stream:
            if chunk.usage:
                break
    assert limit.given[0].settled[0].usage == Usage(9, 2)


def test_a_latency_is_not_learnt_from_a_call_that_was_left() -> None:
    backend = ScriptedBackend({"small": "one two three"})
    made = router(backend)
    with made.stream("q") as stream:
        next(iter(stream))
    assert made.state.latency("x:small") is None


async def test_cancelling_a_stream_closes_its_call() -> None:
    backend, limit = ScriptedBackend({"small": Stream("one", HANG)}), Counting()
    begun = asyncio.Event()

    async def consume() -> None:
        async with router(backend, limits=[limit]).astream("q") as stream:
            async for _ in stream:
                begun.set()

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (backend.open_calls, backend.cut_calls) == (0, 1)
    assert limit.is_balanced()


@pytest.mark.parametrize("strategy", [Single(), Cascade(sure, gate=gate), Vote(["small", "medium", "large"])])
async def test_cancelling_a_run_closes_every_call(strategy: Strategy) -> None:
    backend, limit = ScriptedBackend({"*": HANG}), Counting()
    task = asyncio.create_task(router(backend, strategy, limits=[limit]).arun("q"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert backend.open_calls
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.open_calls == 0
    assert limit.is_balanced()


async def test_a_run_that_is_cancelled_before_its_calls_begin_gives_back_what_was_set_aside() -> None:
    limit = Counting()
    running = asyncio.current_task()
    assert running is not None

    class Cancelling(Strategy):
        def flow(self, task: Task, context: Any) -> Flow[Outcome]:
            running.cancel()
            yield from gather(*(call(Attempt(task, m)) for m in list(FLEET.models)[:3]))
            raise AssertionError("cancelled before")

    with pytest.raises(asyncio.CancelledError):
        await router(ScriptedBackend({"*": "x"}), Cancelling(), limits=[limit]).arun("q")
    running.uncancel()
    assert len(limit.given) == 3
    assert limit.is_balanced()


# Gates: decided in the same way by all four.

GATED = Cascade(sure, gate=gate)


@every_driver
@pytest.mark.parametrize(
    ("draft", "tiers", "finish"),
    [
        ("good for all", ["small"], None),
        ("bad from its first word", ["small", "medium", "large"], "aborted"),
        ("hm no idea", ["small", "medium", "large"], None),
    ],
)
def test_a_gate_commits_aborts_or_leaves_it_to_the_verifier(
    drive: Driver, draft: str, tiers: list[str], finish: str | None
) -> None:
    backend = ScriptedBackend({"*": draft})
    got = drive(router(backend, GATED), Task("q"))
    assert [r.tier for r in got.rows] == tiers
    if finish:
        assert {r.finish_reason for r in got.rows[:-1]} == {"aborted"}
        assert all(r.usage is not None and r.usage.estimated for r in got.rows[:-1])
        assert backend.cut_calls == 2


@every_driver
def test_a_committed_draft_is_the_answer_and_is_not_judged_before(drive: Driver) -> None:
    asked: list[str] = []

    def verifier(outcome: Outcome) -> bool:
        asked.append(outcome.text)
        return False

    def early(prefix: Prefix) -> GateAnswer:
        return "commit" if prefix.text else "undecided"

    got = drive(router(ScriptedBackend({"*": "act now"}), Cascade(verifier, gate=early)), Task("q"))
    assert got.answer is not None
    assert (got.answer[0], len(got.rows)) == ("act now", 1)


@every_driver
def test_a_valid_tool_call_of_a_gated_small_tier_costs_one_call(drive: Driver) -> None:
    tool = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}}
    act = Outcome(cast("Attempt", None), tool_calls=(ToolCall("f", {"x": 1}),))
    backend = ScriptedBackend({"small": act})
    got = drive(router(backend, Cascade(gate=act_only())), Task("q", tools=[tool]))
    assert got.answer is not None
    assert (got.answer[2], len(backend.attempts)) == ("verified", 1)


@every_driver
def test_a_defect_in_a_gate_propagates_and_closes_the_call(drive: Driver) -> None:
    def broken(prefix: Prefix) -> GateAnswer:
        raise KeyError("gate")

    backend, limit = ScriptedBackend({"*": "one two"}), Counting()
    with pytest.raises(KeyError, match="gate"):
        drive(router(backend, Cascade(sure, gate=broken), limits=[limit]), Task("q"))
    assert backend.open_calls == 0
    assert limit.is_balanced()
