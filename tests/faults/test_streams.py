"""Streams that break, answers that are none, and callers that leave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tierwise import Cascade, Router, Single
from tierwise.attempt import Prefix
from tierwise.errors import AllModelsFailedError, BadResponseError, StreamBrokenError
from tierwise.strategies import act_only
from tierwise.testing.provider import Call, Reply

from .scene import Scene, Way, tool

TEXT = "One two three four."
LARGE = Reply(text="Large.")


@pytest.mark.parametrize(
    "broken",
    [
        Reply(text=TEXT, disconnect_after=0),
        Reply(text=TEXT, error_after=0, error="out of memory"),
        Reply(text=" \n \n", chunk_size=1, disconnect_after=2),
        Reply(thinking="Let me see.", text=TEXT, disconnect_after=3),
        Reply(refuse=True),
    ],
    ids=["cut", "error", "after blanks", "after thoughts", "reset"],
)
def test_fault_10_a_stream_that_dies_before_anything_was_shown_falls_back(
    scene: Scene, streamed: Way, broken: Reply
) -> None:
    scene.provider.on("small", broken)
    scene.provider.on("large", LARGE)
    fleet = scene.fleet("small", "large", small={"reasoning_effort": "on"})
    got = scene.ask(scene.router(fleet=fleet, strategy=Single()), way=streamed)
    assert (got.shown, got.answer.model) == ("Large.", "ollama:large")
    assert got.rows[0].error_type is not None
    assert got.rows[1].reason.startswith("fallback")


def test_fault_10_a_gated_stream_that_dies_before_its_gate_opens_falls_back(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text=TEXT, disconnect_after=2))
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Cascade(gate=_never)), way=way)
    assert got.answer.text == "Large."
    assert got.shown in ("", "Large.")


def _never(prefix: Prefix) -> Any:
    return "undecided"


@pytest.mark.parametrize(
    "broken", [Reply(text=TEXT, disconnect_after=2), Reply(text=TEXT, error_after=2, error="out of memory")]
)
def test_fault_11_a_stream_that_dies_after_something_was_shown_is_an_error_with_that_text(
    scene: Scene, streamed: Way, broken: Reply
) -> None:
    scene.provider.on("small", broken)
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Single()), way=streamed)
    assert isinstance(got.error, StreamBrokenError)
    assert got.error.partial == got.shown == "One two"
    assert scene.models == ["small"], "nothing else is asked: the user would see two answers in one"
    (row,) = got.rows
    (call,) = scene.provider.calls
    assert row.usage is not None
    assert (row.usage.output_tokens, row.usage.estimated) == (2, True)
    assert (call.billed_output, row.cost is not None and row.cost > 0) == (2, True)


@pytest.mark.parametrize("after", [0, 2, 99])
def test_fault_12_an_error_inside_an_answer_with_http_200_is_a_failure(scene: Scene, way: Way, after: int) -> None:
    scene.provider.on("small", Reply(text=TEXT, error_after=after, error="the engine died"))
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Single()), way=way)
    assert scene.provider.calls[0].status == 200
    assert "the engine died" in (got.rows[0].error or "")
    if after and way in ("stream", "astream"):
        assert isinstance(got.error, StreamBrokenError)
    else:
        assert got.answer.text == "Large."


def test_fault_13_counts_that_come_with_the_last_line_are_read(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text=TEXT))
    got = scene.ask(scene.router(strategy=Single()), way=way)
    (call,) = scene.provider.calls
    usage = got.rows[0].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (call.billed_input, call.billed_output)
    assert (usage.estimated, call.client_closed) == (False, False)


def test_fault_14_counts_that_are_missing_are_estimated_and_flagged(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text=TEXT, usage_position="missing"))
    got = scene.ask(scene.router(strategy=Single()), way=way)
    (row,) = got.rows
    assert row.usage is not None
    assert row.usage.estimated
    assert row.usage.input_tokens
    assert row.usage.output_tokens
    assert row.cost
    assert "~" in str(got.answer.receipt)


@pytest.mark.parametrize("corrupt", ["malformed", "truncated", "empty"])
def test_fault_15_what_is_no_answer_is_a_failure(scene: Scene, way: Way, corrupt: Any) -> None:
    scene.provider.on("small", Reply(text="One", corrupt=corrupt))
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Single()), way=way)
    if isinstance(got.error, StreamBrokenError):
        assert (got.shown, corrupt) == ("One", "malformed"), "the break came after the first word"
    else:
        assert got.answer.text == "Large."
    assert got.rows[0].error_type == BadResponseError.__name__


@pytest.mark.parametrize("reply", [Reply(text=""), Reply(text=" \n\t "), Reply(thinking="Hm.", text="")])
def test_fault_15_an_empty_answer_is_never_a_success(scene: Scene, way: Way, reply: Reply) -> None:
    scene.provider.on("small", reply)
    got = scene.ask(scene.router("small", strategy=Single()), way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert "the answer is empty" in str(got.error)


def test_fault_15_a_tool_call_without_text_is_an_answer(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    got = scene.ask(scene.router("small", strategy=Single()), way=way, tools=[tool("weather", "city")])
    assert [call.name for call in got.answer.tool_calls] == ["weather"]


# The caller leaves


SILENT = Reply(text=TEXT, stall_after=2)


def check_left(scene: Scene, *, settled: str | None) -> None:
    scene.provider.wait_idle()
    assert [call.client_closed for call in scene.provider.calls] == [True]
    (row,) = scene.ledger.rows()
    assert (row.state, row.error_type) == ("settled", settled)
    assert scene.state.held == 0


async def test_fault_16_cancelling_a_call_closes_it_at_the_provider(scene: Scene) -> None:
    scene.provider.on("small", Reply(stall=True))
    running = asyncio.create_task(scene.router(strategy=Single()).arun("q"))
    await asyncio.to_thread(scene.provider.wait_until, lambda: scene.provider.open_calls == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(check_left, scene, settled="CancelledError")


async def test_fault_16_cancelling_a_stream_closes_it_at_the_provider(scene: Scene) -> None:
    scene.provider.on("small", SILENT)
    shown = asyncio.Event()

    async def read(router: Router) -> None:
        async with router.astream("q") as stream:
            async for _ in stream:
                shown.set()

    running = asyncio.create_task(read(scene.router(strategy=Single())))
    await shown.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(check_left, scene, settled="CancelledError")


def test_fault_16_leaving_a_stream_closes_it_at_the_provider(scene: Scene) -> None:
    scene.provider.on("small", SILENT)
    with scene.router(strategy=Single()).stream("q") as stream:
        assert next(iter(stream)).text.strip() == "One"
    check_left(scene, settled=None)
    assert stream.receipt.rows[0].finish_reason == "interrupted"


def test_fault_16_an_interrupt_closes_the_call_at_the_provider(scene: Scene) -> None:
    scene.provider.on("small", Reply(stall=True))
    with pytest.raises(KeyboardInterrupt), interrupted(lambda: scene.provider.open_calls == 1, scene):
        scene.router(strategy=Single()).run("q")
    check_left(scene, settled="KeyboardInterrupt")


class interrupted:
    """Sends this thread an interrupt as soon as a condition holds at the provider."""

    def __init__(self, condition: Callable[[], bool], scene: Scene) -> None:
        self._caller = threading.get_ident()
        self._thread = threading.Thread(target=self._send, args=(condition, scene))

    def _send(self, condition: Callable[[], bool], scene: Scene) -> None:
        import signal

        scene.provider.wait_until(condition)
        signal.pthread_kill(self._caller, signal.SIGINT)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()


async def test_fault_16_cancelling_many_calls_closes_them_all(scene: Scene) -> None:
    scene.provider.on("small", Reply(stall=True))
    router = scene.router(strategy=Single())
    many = [asyncio.create_task(router.arun(f"q{i}")) for i in range(20)]
    await asyncio.to_thread(scene.provider.wait_until, lambda: scene.provider.open_calls == len(many))
    for task in many:
        task.cancel()
    await asyncio.gather(*many, return_exceptions=True)
    await asyncio.to_thread(scene.provider.wait_idle)
    assert {call.client_closed for call in scene.provider.calls} == {True}
    assert len(scene.ledger.rows()) == len(many)


def test_fault_16_a_gate_that_aborts_closes_its_call(scene: Scene, way: Way) -> None:
    scene.provider.on("small", SILENT)
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Cascade(gate=act_only())), way=way)
    assert got.answer.text == "Large."
    scene.provider.wait_idle()
    assert [call.client_closed for call in scene.provider.calls] == [True, False]
