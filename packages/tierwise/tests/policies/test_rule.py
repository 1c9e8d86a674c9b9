from __future__ import annotations

from typing import Any

import pytest
from tierwise import Rule
from tierwise.errors import ConfigError
from tierwise.messages import Message
from tierwise.task import Task


@pytest.mark.parametrize(
    ("conditions", "task", "met"),
    [
        ({"job": "plan"}, Task("q", job="plan"), True),
        ({"job": ["plan", "review"]}, Task("q", job="review"), True),
        ({"job": "plan"}, Task("q"), False),
        ({"node": "n", "role": "r"}, Task("q", node="n", role="r"), True),
        ({"node": "n", "role": "r"}, Task("q", node="n"), False),
        ({"tags": ["a", "b"]}, Task("q", tags=["a", "b", "c"]), True),
        ({"tags": ["a", "b"]}, Task("q", tags=["a"]), False),
        ({"pattern": r"(?i)\bsql\b"}, Task("Write SQL"), True),
        ({"pattern": r"(?i)\bsql\b"}, Task("q", system="You write SQL"), False),
        ({"pattern": "end$"}, Task("x" * 40_000 + " the end"), True),
        ({"pattern": "middle"}, Task("x" * 2000 + "middle" + "x" * 2000), False),
    ],
)
def test_every_condition_has_to_be_met(bench: Any, conditions: dict[str, Any], task: Task, met: bool) -> None:
    assert bench.tier(Rule(tier="large", **conditions), task) == ("large" if met else None)


def test_only_the_latest_request_is_read(bench: Any) -> None:
    task = Task([Message("user", "SQL"), Message("assistant", "SQL"), Message("user", "thanks")])
    assert bench.tier(Rule(tier="large", pattern="SQL"), task) is None


def test_the_reason_names_what_was_met(bench: Any) -> None:
    decision = bench.decide(Rule(tier="large", job="plan", tags="t"), Task("q", job="plan", tags=["t"]))
    assert decision.reason == "job is 'plan', tags ['t']"


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({}, "has no condition"),
        ({"pattern": "("}, "no regular expression"),
        ({"job": [], "tags": "t"}, r"job=\[\] names nothing"),
        ({"tags": ""}, "tags='' names nothing"),
    ],
)
def test_settings_that_cannot_be(conditions: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Rule(tier="large", **conditions)
