from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.attempt import Attempt, GateAnswer, Outcome, Prefix, Show
from tierwise.fleet import ModelSpec
from tierwise.flow import Flow, Note, Stated, call, done, gather, held, note, revised
from tierwise.task import Task

TASK = Task("q")
MODEL = ModelSpec("x:m")


def ask(name: str, **fields: Any) -> Flow[str]:
    return (yield from call(Attempt(TASK, MODEL, reason=name, **fields))).text


def several(name: str, steps: int, *, says: bool = False) -> Flow[str]:
    heard: list[str] = []
    for i in range(steps):
        if says:
            yield from note(Stated(f"{name}{i}"))
        heard.append((yield from ask(f"{name}{i}")))
    return ",".join(heard)


def play(flow: Flow[Any]) -> tuple[Any, list[list[str]], list[Note]]:
    """Answers each attempt with its own reason; gives the result, the reasons of each batch, and the notes."""
    batches: list[list[str]] = []
    notes: list[Note] = []
    try:
        step = next(flow)
        while True:
            attempts = [item for item in step if isinstance(item, Attempt)]
            notes += [item for item in step if not isinstance(item, Attempt)]
            if attempts:
                batches.append([a.reason for a in attempts])
            step = flow.send(tuple(Outcome(a, text=a.reason) for a in attempts))
    except StopIteration as stop:
        return stop.value, batches, notes


def test_a_call_is_one_batch_of_one() -> None:
    assert play(ask("a")) == ("a", [["a"]], [])


def test_done_asks_for_nothing() -> None:
    assert play(done(3)) == (3, [], [])


def test_gather_merges_the_steps_of_its_flows() -> None:
    result, batches, _ = play(gather(several("a", 3), several("b", 1), several("c", 2)))
    assert result == ("a0,a1,a2", "b0", "c0,c1")
    assert batches == [["a0", "b0", "c0"], ["a1", "c1"], ["a2"]]


def test_gather_of_nothing_and_of_flows_that_ask_nothing() -> None:
    assert play(gather()) == ((), [], [])
    assert play(gather(done(1), done(2))) == ((1, 2), [], [])


def test_a_flow_that_only_speaks_does_not_wait_for_the_calls_of_another() -> None:
    _, batches, notes = play(gather(several("a", 2, says=True), several("b", 2)))
    assert batches == [["a0", "b0"], ["a1", "b1"]]
    assert [n.text for n in notes if isinstance(n, Stated)] == ["a0", "a1"]


def test_gathers_nest() -> None:
    result, batches, _ = play(gather(gather(several("a", 2), several("b", 1)), gather(several("c", 1))))
    assert result == (("a0,a1", "b0"), ("c0",))
    assert batches == [["a0", "b0", "c0"], ["a1"]]


def committing(prefix: Prefix) -> GateAnswer:
    return "commit"


def test_what_is_gathered_is_held() -> None:
    live = ask("live", show=Show.LIVE)
    gated = ask("gated", show=Show.GATED, gate=committing)
    for attempt in next(gather(live, gated)):
        assert isinstance(attempt, Attempt)
        assert (attempt.show, attempt.gate) == (Show.HOLD, None)


def test_a_held_flow_shows_nothing_and_gives_the_same() -> None:
    flow = held(ask("a", show=Show.LIVE))
    (attempt,) = next(flow)
    assert isinstance(attempt, Attempt)
    assert attempt.show == Show.HOLD
    with pytest.raises(StopIteration) as stop:
        flow.send((Outcome(attempt, text="a"),))
    assert stop.value.value == "a"


def test_a_revised_flow_keeps_notes_and_closes_what_it_wraps() -> None:
    closed: list[bool] = []

    def inner() -> Flow[str]:
        try:
            yield from note(Stated("said"))
            return (yield from ask("a"))
        finally:
            closed.append(True)

    def marked(attempt: Attempt) -> Attempt:
        return Attempt(attempt.task, attempt.model, reason="b")

    assert play(revised(inner(), marked))[0] == "b"
    flow = revised(inner(), marked)
    next(flow)
    flow.close()
    assert closed == [True, True]


def test_one_flow_that_raises_closes_the_others() -> None:
    closed: list[str] = []

    def patient() -> Flow[str]:
        try:
            return (yield from several("p", 3))
        finally:
            closed.append("patient")

    def broken() -> Flow[str]:
        yield from ask("x")
        raise KeyError("defect")

    flow = gather(patient(), broken())
    with pytest.raises(KeyError, match="defect"):
        play(flow)
    assert closed == ["patient"]


def test_closing_a_gather_closes_every_flow() -> None:
    closed: list[str] = []

    def patient(name: str) -> Flow[str]:
        try:
            return (yield from ask(name))
        finally:
            closed.append(name)

    flow = gather(patient("a"), gather(patient("b"), patient("c")))
    next(flow)
    flow.close()
    assert sorted(closed) == ["a", "b", "c"]


Shape = st.recursive(st.integers(0, 4), lambda inner: st.lists(inner, max_size=4), max_leaves=12)


def grown(shape: Any, path: str = "") -> Flow[Any]:
    if isinstance(shape, int):
        return (yield from several(f"{path}:", shape, says=bool(shape % 2)))
    return (yield from gather(*(grown(s, f"{path}.{i}") for i, s in enumerate(shape))))


def expected(shape: Any, path: str = "") -> Any:
    if isinstance(shape, int):
        return ",".join(f"{path}:{i}" for i in range(shape))
    return tuple(expected(s, f"{path}.{i}") for i, s in enumerate(shape))


def leaves(shape: Any) -> list[int]:
    return [shape] if isinstance(shape, int) else [n for s in shape for n in leaves(s)]


@given(Shape)
def test_gather_answers_every_flow_with_its_own_outcomes_in_as_few_batches_as_can_be(shape: Any) -> None:
    result, batches, notes = play(grown(shape))
    assert result == expected(shape)
    assert len(batches) == max(leaves(shape), default=0)
    assert sum(map(len, batches)) == sum(leaves(shape))
    assert len(notes) == sum(n for n in leaves(shape) if n % 2)


@given(Shape, st.integers(0, 8))
def test_a_gather_can_be_closed_at_every_yield(shape: Any, steps: int) -> None:
    flow = grown(shape)
    try:
        step = next(flow)
        for _ in range(steps):
            step = flow.send(tuple(Outcome(a) for a in step if isinstance(a, Attempt)))
    except StopIteration:
        pass
    flow.close()
