from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Fleet, Tier
from tierwise.context import Context
from tierwise.errors import ConfigError
from tierwise.messages import Message
from tierwise.policies import Complexity
from tierwise.state import MemoryState
from tierwise.task import Task

INVOLVED = (
    "Compare both designs, then prove why the first must never deadlock unless a lock is held; finally refactor "
    "`run(x)` so that every caller passes {x: [1]}."
)


def test_hi_after_a_long_system_prompt_is_plain(bench: Any) -> None:
    earlier = [Message("system", INVOLVED * 50), Message("user", INVOLVED), Message("assistant", INVOLVED)]
    decision = bench.decide(Complexity(), Task([*earlier, Message("user", "hi")]))
    assert decision.tier == "small"
    assert decision.scores["complexity"] < 0.01


def test_an_involved_request_starts_higher_and_the_decision_shows_the_figures(bench: Any) -> None:
    decision = bench.decide(Complexity(), INVOLVED)
    assert decision.tier == "large"
    assert set(decision.scores) == {"complexity", "length", "reasoning", "conditions", "steps", "notation"}


def test_what_it_does_not_find(bench: Any) -> None:
    assert bench.tier(Complexity(), "Is 2,147,483,647 prime?") == "small"
    assert bench.tier(Complexity(), "Explain why you must never, ever, say hi first") != "small"


def test_cuts_and_tiers_can_be_given(bench: Any) -> None:
    policy = Complexity(["small", "large"], cuts=[0.9])
    assert bench.tier(policy, INVOLVED) == "small"
    assert bench.tier(Complexity(["small", "large"], cuts=[0.1]), INVOLVED) == "large"
    assert list(policy.refs()) == ["small", "large"]


FLEET = Fleet([Tier("small", "x:s"), Tier("large", "x:l")])


def scores(request: str) -> dict[str, float]:
    task = Task(request)
    decision = Complexity().decide(task, Context.of(FLEET, task, MemoryState()))
    assert decision is not None
    return dict(decision.scores)


@given(st.text())
def test_every_score_is_between_0_and_1(request: str) -> None:
    assert all(0 <= score <= 1 for score in scores(request).values())


@given(st.text(max_size=500), st.text(max_size=500))
def test_the_middle_of_a_long_request_is_not_read(one: str, other: str) -> None:
    head, tail = INVOLVED[:120], "x" * 3000
    assert scores(head + one.ljust(500) + tail) == scores(head + other.ljust(500) + tail)


@pytest.mark.parametrize(
    "options",
    [
        {"tiers": []},
        {"cuts": [0.5]},
        {"tiers": ["a", "b"], "cuts": []},
        {"tiers": ["a", "b", "c"], "cuts": [0.6, 0.4]},
        {"tiers": ["a", "b", "c"], "cuts": [0.4, 0.4]},
        {"tiers": ["a", "b"], "cuts": [1.5]},
        {"tiers": ["a", "b"], "cuts": [float("nan")]},
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Complexity(**options)
