from __future__ import annotations

from typing import Any

from tierwise.policies import default_policy
from tierwise.task import Message, Task


def test_stakes_come_before_failures_and_these_before_the_job(bench: Any) -> None:
    failed = Message("tool", "boom", name="f", failed=True)
    policy = default_policy()
    assert bench.tier(policy, Task([failed], job="summarize", stakes="high")) == "large"
    assert bench.tier(policy, Task([failed], job="summarize")) == "medium"
    assert bench.tier(policy, Task("q", job="summarize")) == "small"
    assert bench.tier(policy, Task("q")) is None
