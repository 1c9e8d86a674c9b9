from __future__ import annotations

from typing import Any

import pytest
from tierwise import Fleet, ModelSpec, Tier
from tierwise.fleet import Capability
from tierwise.messages import Message, Tool
from tierwise.policies import Needs
from tierwise.task import Task

PICTURE = [Message("user", "What is this?", images=("aGk=",))]
SCHEMA = {"type": "object"}


def model(name: str, *capabilities: Capability) -> ModelSpec:
    return ModelSpec(f"x:{name}", capabilities=frozenset(capabilities))


FLEET = Fleet(
    [
        Tier("small", ModelSpec("x:unknown")),
        Tier("medium", [model("tools", "tools"), model("typed", "tools", "json_schema", "logprobs")]),
        Tier("large", model("all", "tools", "json_schema", "vision")),
    ],
    specialists=[Tier("eyes", model("eyes", "vision"))],
)


@pytest.mark.parametrize(
    ("policy", "task", "wanted"),
    [
        (Needs(), Task("q"), None),
        (Needs(), Task("q", tools=[Tool("f")]), ("medium", None)),
        (Needs(), Task("q", output_schema=SCHEMA), ("medium", "x:typed")),
        (Needs(), Task(PICTURE), ("large", None)),
        (Needs(), Task(PICTURE, output_schema=SCHEMA), ("large", None)),
        (Needs(vision=True), Task("q", tools=[Tool("f")]), None),
        (Needs(vision=True, tier="eyes"), Task(PICTURE), ("eyes", None)),
        (Needs(logprobs=True), Task("q"), ("medium", "x:typed")),
        (Needs(logprobs=True, vision=True), Task(PICTURE), None),
    ],
)
def test_the_lowest_tier_that_is_known_to_be_able(
    bench: Any, policy: Needs, task: Task, wanted: tuple[str, str | None] | None
) -> None:
    decision = bench.decide(policy, task, fleet=FLEET)
    assert (None if decision is None else (decision.tier, decision.model)) == wanted


def test_what_is_not_known_of_any_model_is_no_reason_to_go_anywhere(bench: Any) -> None:
    assert bench.tier(Needs(), Task("q", tools=[Tool("f")])) is None


def test_the_reason_names_needs_and_model(bench: Any) -> None:
    task = Task("q", tools=[Tool("f")], output_schema=SCHEMA)
    assert bench.decide(Needs(), task, fleet=FLEET).reason == "needs tools and json_schema; x:typed has it"
    assert list(Needs(vision=True, tier="eyes").refs()) == ["eyes"]
