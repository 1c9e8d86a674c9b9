"""Clocks that jump, and content that may not leave the machine."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from tierwise import (
    Agreement,
    Always,
    Cascade,
    Classifier,
    Fleet,
    Judge,
    ModelSpec,
    Price,
    Single,
    Tier,
)
from tierwise.attempt import Attempt
from tierwise.errors import AllModelsFailedError, RejectedError, RoutingError, TrustError
from tierwise.ledger import Receipt
from tierwise.limits import Budget
from tierwise.strategies import BestOf, Observe, Perspectives, Sandwich, Specialists, Strategy, Vote, act_only
from tierwise.testing.provider import Reply
from tierwise.testing.provider.script import Request

from .scene import Scene, Way, no

HELLO = Reply(text="Hello there.")


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0, -1.8e9], ids=["a day back", "a day on", "to 1970"])
def test_fault_45_a_clock_that_jumps_changes_no_duration(
    scene: Scene, way: Way, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, real, readings = time.monotonic(), time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: max(0.0, real() + jump * next(readings)))
    scene.provider.on("small", Reply(text="One two", chunk_delay=0.05))
    scene.provider.on("large", HELLO)
    router = scene.router(strategy=Cascade(no))
    got = scene.ask(router, way=way, deadline=60, session="s")
    assert got.answer.model == "ollama:large"
    took = time.monotonic() - began
    for row in got.rows:
        assert row.latency is not None
        assert 0 <= (row.first_token or 0) <= row.latency <= took
    idle = scene.state.session_idle("s")
    assert idle is not None
    assert 0 <= idle <= time.monotonic() - began
    assert 0 <= Receipt.of(scene.ledger.rows()).latency <= took * len(got.rows)


# Trust


class Vendor:
    """A cloud's models: content that is marked local must never get there."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, attempt: Attempt) -> str:
        self.asked.append(attempt.model.id)
        return "Sent away."


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


def fleet(*, local: str = "small+spare") -> Fleet:
    near = [ModelSpec(f"ollama:{name}", price=Price(1, 1), trust="local") for name in local.split("+")]
    far = [ModelSpec(f"vendor:{name}", price=Price(9, 9)) for name in ("medium", "large")]
    return Fleet(
        [Tier("small", [*near, far[0]]), Tier("medium", far[0]), Tier("large", far[1])],
        specialists={"code": far[1]},
    )


STRATEGIES: dict[str, Strategy] = {
    "fallback": Single(),
    "escalation": Cascade(on_unverified="escalate"),
    "a rejecting verifier": Cascade(no),
    "a judge": Cascade(Judge()),
    "a judge by name": Cascade(Judge("large")),
    "peers": Cascade(Agreement(2, with_=["medium", "large"], normalise=str)),
    "a gate": Cascade(gate=act_only()),
    "a vote": Vote(["small", "medium", "large"]),
    "best of": BestOf(3),
    "perspectives": Perspectives(["small", "medium", "large"]),
    "a sandwich": Sandwich(plan="large", execute="small", validate="large"),
    "specialists": Specialists("medium", {"code": "code", "other": "small"}),
    "an observer": Observe(),
    "a vote in a cascade": Cascade(each=Vote(["small", "medium", "small"])),
}


@pytest.mark.parametrize("fails", [False, True], ids=["local answers", "local fails"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_fault_46_no_hop_of_any_strategy_leaves_the_machine(
    scene: Scene, vendor: Vendor, name: str, fails: bool, way: Way
) -> None:
    def near(request: Request) -> Reply:
        if fails:
            return Reply(status=500)
        if request.schema and "score" in request.schema.get("properties", {}):
            return Reply(json={"reason": "no", "score": 1})
        return Reply(text="Hello there, I think.")

    scene.provider.on("small", near)
    scene.provider.on("spare", near)
    backends = {"ollama": scene.backend(), "vendor": vendor}
    router = scene.router(fleet=fleet(), strategy=STRATEGIES[name], backends=backends)
    got = scene.ask(router, way=way, trust="local")
    assert vendor.asked == []
    if got.reply is None:
        assert isinstance(got.error, AllModelsFailedError | RejectedError | RoutingError)
    assert {row.model.partition(":")[0] for row in scene.ledger.rows()} <= {"ollama"}


@pytest.mark.parametrize("policy", [Always("large"), Classifier("large"), Classifier("medium") | Always("large")])
def test_fault_46_nor_does_a_policy_or_the_model_that_it_asks(
    scene: Scene, vendor: Vendor, policy: Any, way: Way
) -> None:
    scene.provider.on("small", HELLO)
    backends = {"ollama": scene.backend(), "vendor": vendor}
    got = scene.ask(
        scene.router(fleet=fleet(), policy=policy, strategy=Single(), backends=backends), way=way, trust="local"
    )
    assert (vendor.asked, got.answer.model) == ([], "ollama:small")


def test_fault_46_where_no_model_is_left_it_is_an_error_and_nothing_is_sent(
    scene: Scene, vendor: Vendor, way: Way
) -> None:
    away = Fleet([Tier("small", "vendor:small"), Tier("large", "vendor:large")])
    got = scene.ask(scene.router(fleet=away, backends={"vendor": vendor}), way=way, trust="local")
    assert isinstance(got.error, TrustError)
    assert "no model may see a task with trust='local'" in str(got.error)
    assert vendor.asked == []


def test_fault_46_a_budget_that_goes_down_does_not_go_out(scene: Scene, vendor: Vendor, way: Way) -> None:
    scene.provider.on("small", HELLO)
    backends = {"ollama": scene.backend(), "vendor": vendor}
    tight = Budget(usd="0.000001", on_exhausted="downgrade")
    router = scene.router(fleet=fleet(), policy=Always("small"), strategy=Single(), backends=backends, limits=[tight])
    got = scene.ask(router, way=way, trust="local")
    assert got.error is not None
    assert vendor.asked == []
