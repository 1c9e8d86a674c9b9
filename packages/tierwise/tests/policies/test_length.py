from __future__ import annotations

from typing import Any

import pytest
from tierwise import Fleet, ModelSpec, Router, Tier
from tierwise.attempt import Attempt
from tierwise.errors import ConfigError
from tierwise.policies import LongerThan
from tierwise.task import Task


def test_only_what_is_longer_is_sent_there(bench: Any) -> None:
    policy = LongerThan(1000, tier="long")
    assert bench.tier(policy, "x" * 3996) is None
    decision = bench.decide(policy, Task("x" * 3000, system="x" * 3000))
    assert (decision.tier, decision.scores) == ("long", {"tokens": 1501.0})
    assert list(policy.refs()) == ["long"]


def test_the_bound_is_above_zero() -> None:
    with pytest.raises(ConfigError, match="tokens=0 must be above zero"):
        LongerThan(0, tier="long")


def test_a_long_document_reaches_the_specialist_through_a_router() -> None:
    def answer(attempt: Attempt) -> str:
        return "short summary"

    fleet = Fleet(
        [Tier("small", ModelSpec("x:small", window=8000)), Tier("large", ModelSpec("x:large", window=200_000))],
        specialists=[Tier("long", ModelSpec("x:long", window=1_000_000))],
    )
    router = Router(fleet, policy=LongerThan(64_000, tier="long"), backends={"x": answer})
    assert router.decide("word " * 60_000).tier == "long"
    assert router.decide("word " * 10_000).tier == "large"
    assert router.decide("word").tier == "small"
