"""What a graph's state keeps of routing: the decisions that were made ahead, and the running cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict, cast

from langchain_core.messages import AIMessage
from langchain_core.runnables.config import ensure_config
from tierwise import Decision

__all__ = [
    "ANY",
    "KEY",
    "Plan",
    "Routing",
    "RoutingState",
    "Run",
    "bill",
    "current",
    "decided",
    "merged",
    "planned",
    "runs_of",
    "told",
]

KEY = "tierwise"
"""The state's channel, the stamp in a message's metadata, and the key of events in the custom stream."""
ANY = "*"
"""The job of a decision that holds for all calls downstream."""


class Plan(TypedDict):
    """A decision in plain values, as checkpoints and streams keep it."""

    tier: str
    rule: str
    reason: str
    model: str | None


class Run(TypedDict):
    """One routed call of a model, with all the calls behind it."""

    tier: str
    calls: int
    cost: str | None
    """USD, as text; `None` if the price of any call is not known."""


class Routing(TypedDict, total=False):
    """The value of the channel."""

    decisions: dict[str, Plan | None]
    """By job; `*` for any. `None` leaves it to whoever calls a model."""
    runs: dict[str, Run]
    """By run id."""
    calls: int
    cost: str | None
    """USD of all runs, as text; `None` if the price of any is not known."""


def merged(old: Routing | None, new: Routing | None) -> Routing:
    """The channel's reducer: each run counts once, whoever reports it and however often; later decisions replace."""
    before, after = old or Routing(), new or Routing()
    runs = {**before.get("runs", {}), **after.get("runs", {})}
    costs = [run["cost"] for run in runs.values()]
    known = [Decimal(cost) for cost in costs if cost is not None]
    return {
        "decisions": {**before.get("decisions", {}), **after.get("decisions", {})},
        "runs": runs,
        "calls": sum(run["calls"] for run in runs.values()),
        "cost": str(sum(known, Decimal(0))) if len(known) == len(costs) else None,
    }


class RoutingState(TypedDict):
    """Derive a graph's state from it to have decisions travel in the state, and the running cost be kept there."""

    tierwise: NotRequired[Annotated[Routing, merged]]


def planned(decision: Decision) -> Plan:
    """The decision in plain values."""
    return {"tier": decision.tier, "rule": decision.rule, "reason": decision.reason, "model": decision.model}


def decided(config: Mapping[str, Any], job: str | None) -> Decision | None:
    """The decision that the state of the running graph holds for a job; `None` if it holds none.

    Args:
        config: The config under which the model is called.
        job: What the call does.
    """
    plans = (current(config) or {}).get("decisions", {})
    plan = plans.get(job or ANY) or plans.get(ANY)
    return None if plan is None else Decision(**plan)


def current(config: Mapping[str, Any]) -> Routing | None:
    """What the state of the running graph holds of routing; `None` if its state has no channel for it."""
    # How LangGraph's own tool node reads the state of the step that it runs in.
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    read = configurable.get("__pregel_read")
    if read is None:
        return Routing()
    try:
        return cast("Routing | None", read(KEY)) or Routing()
    except KeyError:
        return None


def runs_of(messages: Iterable[Any]) -> dict[str, Run]:
    """The routed runs that messages came from, by run id."""
    stamps = [m.response_metadata.get(KEY) for m in messages if isinstance(m, AIMessage)]
    return {s["run_id"]: {"tier": s["tier"], "calls": s["calls"], "cost": s["cost"]} for s in stamps if s}


def bill(*messages: Any) -> RoutingState:
    """What the messages cost, as an update of the state; it goes to the custom stream too.

    In a node: `return {"messages": [answer], **bill(answer)}`. A message that is no routed model's costs nothing here.

    Args:
        *messages: Messages that a `RoutedChatModel` gave.
    """
    return {KEY: told({"runs": runs_of(messages)})}


def told(update: Routing) -> Routing:
    """The update; the custom stream of the graph that runs is told of it, with the running totals."""
    from langgraph.config import get_stream_writer

    total = merged(current(ensure_config()), update)
    try:
        write = get_stream_writer()
    except (KeyError, RuntimeError):  # no graph runs, as in a test of a node alone
        return update
    write({KEY: {**update, "calls": total.get("calls"), "cost": total.get("cost")}})
    return update
