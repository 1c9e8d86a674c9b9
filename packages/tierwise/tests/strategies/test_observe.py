from __future__ import annotations

import pytest
from tierwise.attempt import Show
from tierwise.errors import AllModelsFailedError, TrustError
from tierwise.fleet import Fleet, ModelSpec, Tier
from tierwise.flow import Stated
from tierwise.router import Router
from tierwise.strategies import Observe
from tierwise.task import Task
from tierwise.testing import ScriptedBackend

from .conftest import DOWN, Bench, Ran


def test_the_baseline_answers_live_and_the_decision_is_only_stated(bench: Bench) -> None:
    ran = bench.run(Observe(), {"large": "as ever"}, start="small")
    assert [(a.tier, a.purpose, a.show) for a in ran.attempts] == [("large", "answer", Show.LIVE)]
    assert ran.stated == "observed: test would start at small; x:large answers"
    assert [n.data["tier"] for n in ran.notes if isinstance(n, Stated)] == ["small"]


def test_nothing_falls_back(bench: Bench) -> None:
    ran = Ran()
    with pytest.raises(AllModelsFailedError):
        bench.run(Observe("small"), {"small": DOWN}, into=ran)
    assert len(ran.attempts) == 1


def test_trust_holds_all_the_same(bench: Bench) -> None:
    with pytest.raises(TrustError):
        bench.run(Observe(), "x", Task("q", trust="local"))


def test_a_router_logs_where_it_would_have_started() -> None:
    fleet = Fleet([Tier("small", "x:s"), Tier("large", "x:l")], baseline=ModelSpec("x:today"))
    backend = ScriptedBackend({"today": "the usual"})
    reply = Router(fleet, strategy=Observe(), backends={"x": backend}).run("q")
    assert (reply.text, reply.decision.tier, backend.asked) == ("the usual", "small", ["x:today"])
    assert [(r.tier, r.decision_tier) for r in reply.attempts] == [("baseline", "small")]
    assert reply.statements[0].text.endswith("would start at small; x:today answers")
