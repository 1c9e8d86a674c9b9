"""The channel that keeps decisions and the running cost."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from tierwise_langgraph import bill
from tierwise_langgraph.state import merged

ids = st.sampled_from(["a", "b", "c", "d"])
costs = st.none() | st.decimals(min_value=0, max_value=10, places=6).map(str)


@st.composite
def histories(draw: Any) -> list[Any]:
    """Updates in which a run always costs the same, whoever reports it."""
    runs = {i: {"tier": "small", "calls": draw(st.integers(1, 5)), "cost": draw(costs)} for i in "abcd"}
    reported = draw(st.lists(st.sets(ids), max_size=6))
    return [{"runs": {i: runs[i] for i in sorted(some)}} for some in reported]


@given(histories())
def test_a_run_counts_once_whoever_reports_it_and_in_whatever_order(updates: list[Any]) -> None:
    forward: Any = None
    backward: Any = {}
    for update in updates:
        forward = merged(forward, update)
    for update in [*reversed(updates), *updates]:
        backward = merged(backward, update)
    runs: dict[str, Any] = {i: run for update in updates for i, run in update["runs"].items()}
    if updates:
        assert forward["runs"] == backward["runs"] == runs
        assert forward["calls"] == backward["calls"] == sum(run["calls"] for run in runs.values())
        known = [run["cost"] for run in runs.values()]
        expected = None if None in known else sum(map(Decimal, known), Decimal(0))
        for total in (forward["cost"], backward["cost"]):
            assert (None if total is None else Decimal(total)) == expected


def test_a_later_decision_replaces_an_earlier_one() -> None:
    first: Any = {"decisions": {"*": {"tier": "small"}, "plan": {"tier": "large"}}}
    later: Any = {"decisions": {"*": None}}
    assert merged(first, later).get("decisions") == {"*": None, "plan": {"tier": "large"}}


def test_a_message_of_no_routed_model_costs_nothing() -> None:
    assert bill(HumanMessage("Why?"), AIMessage("Because.")) == {"tierwise": {"runs": {}}}
