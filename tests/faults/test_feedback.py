"""Poison in what decisions learn from: the record of how models did, and a table of outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Always, Fleet, LabelTable, ModelSpec, Price, Router, Single, Tier
from tierwise.context import Decision
from tierwise.policies import Fastest
from tierwise.state import MemoryState
from tierwise.testing.provider import Reply as Said

from .scene import Scene, Way

Rows = Sequence[Mapping[str, Any]]
PRIOR = 10.0


class Clock:
    """Monotonic seconds that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_fault_39_a_model_that_was_made_to_look_bad_goes_last_in_its_tier_and_comes_back(
    scene: Scene, way: Way
) -> None:
    clock = Clock()
    scene.state = MemoryState(clock=clock)
    asks = scene.router("small+spare", "large", strategy=Single(), policy=Fastest("small"))
    scene.provider.on("small", Said(text="Hello."))
    scene.provider.on("spare", Said(text="Hello.", first_token_delay=0.05))
    for model in ("spare", "small"):
        assert scene.ask(asks, way=way, decision=first(model)).answer.model == f"ollama:{model}"
    assert scene.ask(asks, way=way).answer.model == "ollama:small", "the faster one goes first"

    scene.provider.on("small", Said(status=500))
    for _ in range(20):
        scene.ask(asks, way=way, decision=first("small"))
    scene.provider.on("small", Said(text="Hello."))
    asked = scene.provider.count()
    shifted = scene.ask(asks, way=way).answer
    assert (shifted.model, shifted.tier) == ("ollama:spare", "small"), "within its tier, and no tier up"
    assert scene.provider.count() == asked + 1

    scene.provider.on("spare", Said(status=500))
    assert scene.ask(asks, way=way).answer.model == "ollama:small", "it still stands behind the other"

    scene.provider.on("spare", Said(text="Hello.", first_token_delay=0.05))
    clock.now += 600
    assert scene.ask(asks, way=way).answer.model == "ollama:small", "what it was blamed for fades"


def first(model: str) -> Decision:
    return Decision("small", model=f"ollama:{model}")


FLEET = Fleet(
    [Tier("small", ModelSpec("x:small", price=Price(1, 1))), Tier("large", ModelSpec("x:large", price=Price(9, 9)))]
)


def outcomes(label: str, small: float, large: float, count: int) -> Rows:
    return [{"task": label, "score__small": small, "score__large": large}] * count


def decided(table: LabelTable, job: str, **fields: Any) -> tuple[str, Mapping[str, float]]:
    decision = Router(FLEET, policy=table | Always("large"), strategy=Single()).decide("q", job=job, **fields)
    return decision.tier, decision.scores


scores = st.floats(0, 1)


@given(small=scores, large=scores, count=st.integers(1, 200), poison=st.integers(1, 500), lie=scores)
def test_fault_39_poisoned_outcomes_of_one_job_move_another_by_a_bounded_share(
    small: float, large: float, count: int, poison: int, lie: float
) -> None:
    clean = outcomes("code", small, large, count)
    before = decided(LabelTable.fit(clean, prior=PRIOR), "code")[1]
    after = decided(LabelTable.fit([*clean, *outcomes("chat", lie, 1 - lie, poison)], prior=PRIOR), "code")[1]
    share = PRIOR / (count + PRIOR)
    assert all(abs(after[model] - before[model]) <= share + 1e-9 for model in before)


@given(count=st.integers(1, 300), poison=st.integers(0, 300))
def test_fault_39_the_poisoned_job_itself_moves_by_the_share_of_the_poison(count: int, poison: int) -> None:
    clean = outcomes("code", 0.0, 1.0, count)
    table = LabelTable.fit([*clean, *outcomes("code", 1.0, 0.0, poison)], prior=0)
    assert decided(table, "code")[1]["small"] == pytest.approx(poison / (count + poison))


def test_fault_39_poison_lifts_nothing_above_the_tasks_own_bound() -> None:
    table = LabelTable.fit(outcomes("chat", 0.0, 1.0, 10_000))
    assert decided(table, "chat")[0] == "large"
    assert decided(table, "chat", max_tier="small")[0] == "small"


def test_fault_39_the_table_from_before_brings_the_decisions_back(tmp_path: Path) -> None:
    kept = tmp_path / "table.json"
    clean = outcomes("code", 0.2, 0.9, 50)
    LabelTable.fit(clean).save(kept)
    assert decided(LabelTable.fit([*clean, *outcomes("code", 1.0, 0.0, 500)]), "code")[0] == "small"
    assert decided(LabelTable.load(kept), "code")[0] == "large"
