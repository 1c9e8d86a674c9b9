"""Routing as a step of a graph: a node that decides and goes on, and an edge that only chooses the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, cast

from langchain_core.messages import convert_to_messages
from langchain_core.runnables.config import ensure_config
from langgraph.types import Command
from tierwise import Decision, Router, Task
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.policies import PolicyLike
from tierwise.task import task_fields

from tierwise_langgraph.history import to_core
from tierwise_langgraph.state import ANY, KEY, Routing, current, planned, runs_of, told

__all__ = ["RouteNode", "route_edge", "route_node"]


class RouteNode(Protocol):
    """A node for `add_node`."""

    def __call__(self, state: Any) -> Command[Any]:
        """Decides, and says where to go."""
        ...


def route_node(
    router: Router,
    destinations: Mapping[str, str] | None = None,
    *,
    policy: PolicyLike | None = None,
    job: str | None = None,
    messages_key: str = "messages",
    task: Mapping[str, Any] | None = None,
) -> RouteNode:
    """A node that asks the router who should try first, writes it into the state, and goes on to that tier's node.

    Without destinations the edges of the graph lead on, and a `RoutedChatModel` downstream starts where the state says.
    The state needs the channel for it: derive it from `RoutingState`. The node also adds what the routed messages in
    the state have cost so far to the running cost there, and tells both to the custom stream.

    Args:
        router: Decides. No model is asked: where its policy has to ask one, the decision is left to the model
            downstream.
        destinations: The node for each tier; every tier of the fleet has one.
        policy: Decides here in place of the router's, e.g. `Rule(job="plan", tier="large") | Always("small")`.
        job: What is decided upon; the decision then holds for calls of this job alone. By default the node's own name
            is the job, and the decision holds for every call downstream, until another node decides. Branches that run
            side by side name their jobs.
        messages_key: Where the state keeps the messages, or a text.
        task: Further fields of the task, e.g. `{"trust": "local"}`.

    Raises:
        UnknownNameError: A destination is for a tier that the fleet does not have, or the policy names one.
        ConfigError: A tier has no destination.
    """
    nodes = _checked(router, destinations)
    asked = _Question(router.using(policy=policy), job, messages_key, task_fields(task))

    def node(state: Any) -> Command[Any]:
        decision = asked(state)
        if decision.pending and (nodes or policy is not None):
            raise _pending(decision, "a node asks none")
        return Command(update={KEY: _update(decision, job, asked.messages(state))}, goto=nodes.get(decision.tier, ()))

    if nodes:
        # LangGraph reads from here where the node can go on to.
        node.__annotations__["return"] = Command[Literal[tuple(nodes.values())]]  # pyright: ignore[reportInvalidTypeForm]
    return node


def route_edge(
    router: Router,
    *,
    policy: PolicyLike | None = None,
    job: str | None = None,
    messages_key: str = "messages",
    task: Mapping[str, Any] | None = None,
) -> Callable[[Any], str]:
    """A function for `add_conditional_edges`: gives the name of the tier that should try first.

        graph.add_conditional_edges("read", route_edge(router), {"small": "cheap_node", "large": "strong_node"})

    Args:
        router: Decides; no model is asked.
        policy: Decides here in place of the router's.
        job: What is decided upon; by default the name of the node that the edge leaves.
        messages_key: Where the state keeps the messages, or a text.
        task: Further fields of the task.

    Raises:
        UnknownNameError: The policy names a tier or a model that the fleet does not have.
    """
    asked = _Question(router.using(policy=policy), job, messages_key, task_fields(task))

    def edge(state: Any) -> str:
        decision = asked(state)
        if decision.pending:
            raise _pending(decision, "an edge asks none")
        return decision.tier

    return edge


def _pending(decision: Decision, why: str) -> ConfigError:
    return ConfigError(
        f"policy {decision.rule!r} has to ask a model before the tier is known, and {why}: give policy= one that needs "
        "no model, or leave the decision to a RoutedChatModel (route_node without destinations and without policy=)",
        setting="policy",
        value=decision.rule,
    )


class _Question:
    """What a state asks of the router."""

    def __init__(self, router: Router, job: str | None, key: str, fields: dict[str, Any]) -> None:
        self._router = router
        self._job = job
        self._key = key
        self._fields = fields

    def __call__(self, state: Any) -> Decision:
        metadata: Mapping[str, Any] = ensure_config().get("metadata") or {}
        node = metadata.get("langgraph_node")
        own: dict[str, Any] = {"job": self._job or node, "node": node, "session": metadata.get("thread_id")}
        return self._router.decide(Task(to_core(self.messages(state)), **own | self._fields))

    def messages(self, state: Any) -> list[Any]:
        mapping = isinstance(state, Mapping)
        value: Any = cast("Mapping[str, Any]", state)[self._key] if mapping else getattr(state, self._key)
        return convert_to_messages([value] if isinstance(value, str) else value)


def _update(decision: Decision, job: str | None, messages: Iterable[Any]) -> Routing:
    """The update of the state's channel.

    Raises:
        ConfigError: The state has no such channel.
    """
    if current(ensure_config()) is None:
        raise ConfigError(
            f"the state has no channel {KEY!r} for the decision: derive it from tierwise_langgraph.RoutingState",
            setting="state",
            value=KEY,
        )
    plan = None if decision.pending else planned(decision)
    return told({"decisions": {job or ANY: plan}, "runs": runs_of(messages)})


def _checked(router: Router, destinations: Mapping[str, str] | None) -> Mapping[str, str]:
    if destinations is None:
        return {}
    names = [tier.name for tier in router.fleet.tiers]
    for tier in destinations:
        if tier not in names:
            raise UnknownNameError("tier", tier, names, where="destinations")
    missing = [name for name in names if name not in destinations]
    if missing:
        raise ConfigError(
            f"destinations={dict(destinations)!r} has no node for {', '.join(map(repr, missing))}: name one for every "
            "tier, two tiers may share it",
            setting="destinations",
            value=dict(destinations),
        )
    return destinations
