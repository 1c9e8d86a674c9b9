"""Whatever the strategy and whatever comes back, the four drivers agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tierwise import Task, ToolCall
from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.errors import RejectedError, StreamBrokenError, UnavailableError
from tierwise.policies import Rule
from tierwise.strategies import (
    BestOf,
    Cascade,
    Observe,
    Perspectives,
    Sandwich,
    Single,
    Specialists,
    Strategy,
    Vote,
)
from tierwise.testing import ScriptedBackend, Step, Stream

from .driving import DOWN, DRIVERS, Counting, Got, Stop, by_astream, by_stream, gate, nothing_is_held, router, sure

# One set of rules: whatever the strategy and whatever comes back, the four agree.


def nested(inner: st.SearchStrategy[Strategy]) -> st.SearchStrategy[Strategy]:
    member = inner | st.sampled_from(["small", "medium", "large", "code"])
    three = st.lists(member, min_size=3, max_size=3)
    return st.one_of(
        inner.map(lambda s: Cascade(sure, each=s)),
        st.builds(Vote, three, st.just(len), on_tie=st.none() | member),
        st.builds(Perspectives, st.lists(member, min_size=2, max_size=3)),
        st.builds(BestOf, st.just(2), verifier=st.just(sure), member=st.none() | member),
        inner.map(lambda s: Specialists(Rule(job="code", tier="code"), each=s)),
        st.builds(Sandwich, parse=st.none() | member, answer=st.none() | member),
    )


Trees = st.recursive(
    st.sampled_from(
        [Single(), Cascade(sure), Cascade(sure, gate=gate), Cascade(sure, on_unverified="accept"), Observe()]
    ),
    nested,
    max_leaves=4,
)
Steps = st.lists(
    st.sampled_from(
        [
            "good answer",
            "bad answer",
            "hm, who knows",
            "",
            " \n",
            '{"name": "f", "arguments": {"x": 1}}',
            Outcome(cast("Attempt", None), tool_calls=(ToolCall("f", {"x": 1}),)),
            Outcome(cast("Attempt", None), text="hm", tool_calls=(ToolCall("g"),)),
            Stream("", Chunk(thinking="well"), " ", "good", " words", Chunk(finish_reason="stop")),
            DOWN,
            Stream("", Chunk(thinking="well"), DOWN),
        ]
    ),
    min_size=1,
    max_size=6,
)
Tasks = st.sampled_from(
    [
        Task("q"),
        Task("q", job="code"),
        Task("q", tools=[{"name": "f"}]),
        Task("q", trust="local"),
        Task("q", output_schema={"type": "object"}),
        Task("q", min_tier="medium", stakes="high"),
    ]
)


def same_for_the_same_call(steps: Sequence[Step]) -> Callable[[Attempt], Step]:
    """Calls that are made side by side come in any order: what a call gets depends on the call alone."""

    def answer(attempt: Attempt) -> Step:
        key = f"{attempt.model.name} {attempt.purpose} {attempt.reason} {attempt.task.job}"
        step = steps[crc32(key.encode()) % len(steps)]
        return f"{step} {attempt.model.name}" if isinstance(step, str) and step.strip().isalpha() else step

    return answer


@settings(max_examples=150, deadline=None)
@given(Trees, Steps, Tasks, st.sampled_from([(), ("small",), ("medium", "large")]))
def test_all_drivers_give_the_same_answer_with_the_same_calls_and_show_nothing_else(
    strategy: Strategy, steps: Sequence[Step], task: Task, refused: tuple[str, ...]
) -> None:
    got: list[Got] = []
    for drive in DRIVERS:
        backend = ScriptedBackend({"*": same_for_the_same_call(steps)})
        limit = Counting(*refused)
        made = router(backend, strategy, limits=[limit])
        got.append(drive(made, task))
        assert limit.is_balanced()
        assert nothing_is_held(made)
        assert backend.open_calls == 0
        sent = [r for r in got[-1].rows if r.state == "settled"]
        if got[-1].answer is not None:
            assert len(sent) == len(backend.attempts)
    first = got[0]
    for other in got[1:]:
        assert other.outcome == first.outcome
        assert other.record == first.record
    for streamed in got[2:]:
        if streamed.answer is None:
            assert streamed.text == ""
        else:
            assert streamed.text == streamed.answer[0]
            assert streamed.tool_calls == streamed.answer[1]


BREAK = Stream("good", " beginning", UnavailableError("cut"))


@settings(max_examples=100, deadline=None)
@given(Trees, Steps, Tasks)
def test_what_breaks_may_have_shown_its_beginning_and_nothing_else(
    strategy: Strategy, steps: Sequence[Step], task: Task
) -> None:
    for drive in (by_stream, by_astream):
        limit = Counting()
        backend = ScriptedBackend({"*": same_for_the_same_call([*steps, BREAK])})
        made = router(backend, strategy, limits=[limit])
        got = drive(made, task)
        assert limit.is_balanced()
        assert nothing_is_held(made)
        assert backend.open_calls == 0
        if isinstance(got.error, StreamBrokenError):
            assert got.text == got.error.partial == "good beginning"
        elif got.answer is None:
            assert got.text == ""
        else:
            assert got.text == got.answer[0]


ALL = {
    "single": Single(),
    "cascade": Cascade(sure),
    "gated": Cascade(sure, gate=gate),
    "cascade of votes": Cascade(sure, each=Vote([Single(), "small", "code"])),
    "vote of cascades": Vote([Cascade(sure), Cascade(sure), "large"], on_tie="large"),
    "best of": BestOf(3, verifier=sure),
    "perspectives": Perspectives(["small", "medium"]),
    "sandwich": Sandwich(),
    "specialists": Specialists("small", {"law": "code"}),
    "observe": Observe(),
    "default": Cascade(),
}
every_strategy = pytest.mark.parametrize("strategy", ALL.values(), ids=ALL.keys())


@every_strategy
@pytest.mark.parametrize("answer", ["good", "bad", "hm"])
def test_every_strategy_can_be_ended_at_every_call(strategy: Strategy, answer: str) -> None:
    for at in range(12):
        for drive in DRIVERS:
            calls = 0

            def step(attempt: Attempt) -> Step:
                nonlocal calls
                calls += 1
                if calls > at:  # noqa: B023 - called within the loop
                    raise Stop
                return answer

            limit = Counting()
            backend = ScriptedBackend({"*": step})
            made = router(backend, strategy, limits=[limit])
            with suppress(Stop):
                drive(made, Task("q"))
            assert limit.is_balanced()
            assert nothing_is_held(made)
            assert backend.open_calls == 0


@every_strategy
@pytest.mark.parametrize("answer", ["good words to show", "bad words to show", "hm words to show"])
async def test_every_strategy_can_be_left_at_every_chunk(strategy: Strategy, answer: str) -> None:
    for at in range(6):
        limit, backend = Counting(), ScriptedBackend({"*": answer})
        made = router(backend, strategy, limits=[limit])
        with suppress(RejectedError), made.stream("q") as stream:
            for _ in zip(range(at), stream, strict=False):
                pass
        with suppress(RejectedError):
            async with made.astream("q") as astream:
                left = at
                async for _ in astream:
                    left -= 1
                    if left <= 0:
                        break
        assert limit.is_balanced()
        assert nothing_is_held(made)
        assert backend.open_calls == 0
