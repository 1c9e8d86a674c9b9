"""Pieces that a call pushes, pulled one by one."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

import pytest
from tierwise_crewai.relay import Put, apulled, pulled

VALUE: ContextVar[str] = ContextVar("value", default="outside")


def test_pieces_come_in_order_and_the_result_last() -> None:
    def work(put: Put[str]) -> str:
        put("a")
        put("b")
        return VALUE.get()

    VALUE.set("inside")
    assert list(pulled(work)) == ["a", "b", "inside"]


def test_a_call_goes_no_further_than_it_is_read() -> None:
    went: list[str] = []

    def work(put: Put[str]) -> str:
        for piece in "abc":
            went.append(piece)
            put(piece)
        return "end"

    pieces = pulled(work)
    assert next(pieces) == "a"
    assert went == ["a"]
    pieces.close()
    assert went == ["a"]
    assert not any(thread.name == "tierwise" for thread in threading.enumerate())


def test_a_call_that_is_left_closes_what_it_was_reading() -> None:
    closed: list[str] = []

    class Source:
        def __init__(self) -> None:
            self.own = self  # as a client's stream does: it would linger

        def __iter__(self) -> Source:
            return self

        def __next__(self) -> str:
            return "piece"

        def close(self) -> None:
            closed.append("closed")

    def work(put: Put[str]) -> str:
        source = Source()
        try:
            for piece in source:
                put(piece)
        except Exception:  # a handler of a provider's failures
            closed.append("handled")
        return "end"

    pieces = pulled(work)
    next(pieces)
    pieces.close()
    assert closed == ["closed"]


def test_an_error_of_the_call_is_raised_where_it_is_read() -> None:
    def work(put: Put[str]) -> str:
        put("a")
        raise ValueError("broken")

    pieces = pulled(work)
    assert next(pieces) == "a"
    with pytest.raises(ValueError, match="broken"):
        next(pieces)


async def test_the_async_twin_gives_the_same() -> None:
    async def work(put: Put[str]) -> str:
        put("a")
        await asyncio.sleep(0)
        put("b")
        return "end"

    assert [piece async for piece in apulled(work)] == ["a", "b", "end"]


async def test_closing_the_async_twin_cancels_the_call() -> None:
    ended: list[str] = []

    async def work(put: Put[str]) -> str:
        put("a")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return "end"

    pieces = apulled(work)
    assert await anext(pieces) == "a"
    await pieces.aclose()
    assert ended == ["cancelled"]


async def test_an_error_of_the_async_call_is_raised_where_it_is_read() -> None:
    async def work(put: Put[str]) -> str:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await anext(apulled(work))
