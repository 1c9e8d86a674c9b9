# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false
"""Nodes and edges that route, over real HTTP."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from tierwise import Always, Decision, Fleet, Router, Rule, Single, Tier
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.policies import Policy
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_langgraph import RoutedChatModel, RoutingState, bill, receipt_of, route_edge, route_node
from typing_extensions import TypedDict

Make = Callable[..., RoutedChatModel]

ASK: Any = {"messages": [("user", "Why?")]}
LARGE = {"tier": "large", "rule": "always", "reason": "always large", "model": None}


class State(RoutingState):
    messages: Annotated[list[BaseMessage], add_messages]


class Asks(Policy):
    """Would have to ask a model."""

    def decide(self, task: Any, context: Any) -> Decision | None:
        return Decision("", rule="asks", pending=True)

    def flow(self, task: Any, context: Any) -> Any:
        return Decision("large", rule="asks")
        yield ()


def asking(model: RoutedChatModel) -> Any:
    def node(state: State) -> Any:
        answer = model.invoke(state["messages"])
        return {"messages": [answer], **bill(answer)}

    return node


def saying(text: str) -> Any:
    def node(state: State) -> Any:
        return {"messages": [AIMessage(text)]}

    return node


def line(first: Any, second: Any, name: str = "writer") -> Any:
    """A node that routes, then one that asks a model."""
    built = StateGraph(State)
    built.add_node("route", first)
    built.add_node(name, second)
    built.add_edge(START, "route")
    built.add_edge("route", name)
    built.add_edge(name, END)
    return built


def fork(router: Router, **options: Any) -> Any:
    built = StateGraph(State)
    built.add_node("route", route_node(router, {"small": "cheap", "large": "strong"}, **options))
    built.add_node("cheap", saying("cheap"))
    built.add_node("strong", saying("strong"))
    built.add_edge(START, "route")
    return built.compile()


def two_tiers(policy: Any = None) -> Router:
    return Router.simple(small="ollama:small", large="openai:large", policy=policy, strategy=Single())


@pytest.fixture
def live(provider: LoopbackProvider) -> LoopbackProvider:
    provider.on("small", Reply(text="Small says so."))
    provider.on("large", Reply(text="Large says so."))
    return provider


@pytest.mark.parametrize(("tier", "said"), [("small", "cheap"), ("large", "strong")])
def test_the_node_goes_on_to_the_tier_s_node(tier: str, said: str) -> None:
    state = fork(two_tiers(Always(tier))).invoke(ASK)
    assert state["messages"][-1].content == said
    assert state["tierwise"]["decisions"]["*"]["tier"] == tier


def test_the_node_s_ways_are_drawn() -> None:
    edges = {(e.source, e.target) for e in fork(two_tiers()).get_graph().edges}
    assert {("route", "cheap"), ("route", "strong")} <= edges


def test_without_destinations_the_model_downstream_obeys(live: LoopbackProvider, routed: Make) -> None:
    model = routed()
    state = line(route_node(two_tiers(Always("large"))), asking(model)).compile().invoke(ASK)
    assert [c.model for c in live.calls] == ["large"]
    assert state["messages"][-1].response_metadata["tierwise"]["rule"] == "always"
    assert state["tierwise"]["decisions"] == {"*": LARGE}


async def test_the_model_downstream_obeys_in_an_async_node_too(live: LoopbackProvider, routed: Make) -> None:
    model = routed()

    async def node(state: State) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = line(route_node(two_tiers(Always("large"))), node).compile()
    parts = [p async for p in graph.astream(ASK, stream_mode="messages")]
    assert [c.model for c in live.calls] == ["large"]
    assert len([m for m, _ in parts if m.text]) == 3


def test_a_decision_for_a_job_holds_for_that_job_alone(live: LoopbackProvider, routed: Make) -> None:
    decides = route_node(two_tiers(Always("large")), job="writer")
    line(decides, asking(routed())).compile().invoke(ASK)
    line(decides, asking(routed()), name="reader").compile().invoke(ASK)
    assert [c.model for c in live.calls] == ["large", "small"]


def test_the_job_is_the_node_s_name(live: LoopbackProvider, routed: Make) -> None:
    # A plan is the large tier's work, as the job table has it.
    built = StateGraph(State)
    built.add_node("plan", asking(routed(policy=None)))
    built.add_edge(START, "plan")
    built.compile().invoke(ASK)
    assert [c.model for c in live.calls] == ["large"]
    assert route_edge_from("plan")(ASK) == "large"


def route_edge_from(name: str) -> Callable[[Any], str]:
    """Where an edge leads that leaves a node of that name."""

    def went(state: Any) -> str:
        built = StateGraph(State)
        built.add_node(name, saying("hm"))
        built.add_node("small", saying("small"))
        built.add_node("large", saying("large"))
        built.add_edge(START, name)
        built.add_conditional_edges(name, route_edge(two_tiers()), {"small": "small", "large": "large"})
        return str(built.compile().invoke(state)["messages"][-1].content)

    return went


def test_an_edge_leads_to_the_tier() -> None:
    assert route_edge_from("reader")(ASK) == "small"


def test_a_policy_given_here_decides_in_place_of_the_router_s(live: LoopbackProvider, routed: Make) -> None:
    router = two_tiers(Always("small"))
    plans = Rule(job="plan", tier="large") | Always("small")
    assert route_edge(router, policy=plans, job="plan")(ASK) == "large"
    assert route_edge(router, policy=plans)(ASK) == "small"
    assert fork(router, policy=Always("large")).invoke(ASK)["messages"][-1].content == "strong"
    line(route_node(router, policy=Always("large")), asking(routed())).compile().invoke(ASK)
    assert [c.model for c in live.calls] == ["large"]
    assert router.decide("Why?").tier == "small"


def test_a_policy_given_here_is_checked_at_once() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'large'"):
        route_edge(two_tiers(), policy=Always("larg"))
    with pytest.raises(ConfigError, match="'asks' has to ask a model"):
        line(route_node(two_tiers(), policy=Asks()), saying("")).compile().invoke(ASK)


def test_a_model_s_own_decision_comes_before_the_state_s(live: LoopbackProvider, routed: Make) -> None:
    model = routed()

    def node(state: State) -> Any:
        return {"messages": [model.invoke(state["messages"], model="small")]}

    line(route_node(two_tiers(Always("large"))), node).compile().invoke(ASK)
    assert [c.model for c in live.calls] == ["small"]


def test_a_policy_that_asks_leaves_the_decision_to_the_model(live: LoopbackProvider, routed: Make) -> None:
    graph = line(route_node(two_tiers(Asks())), asking(routed())).compile(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "1"}}
    graph.update_state(thread, {"tierwise": {"decisions": {"*": LARGE}}}, as_node="__start__")
    state = graph.invoke(ASK, thread)
    # What was decided for an earlier turn does not hold for this one.
    assert state["tierwise"]["decisions"] == {"*": None}
    assert [c.model for c in live.calls] == ["small"]


def test_a_policy_that_asks_cannot_choose_a_way() -> None:
    with pytest.raises(ConfigError, match=r"'asks' has to ask a model .* a node asks none: give policy="):
        fork(two_tiers(Asks())).invoke(ASK)
    with pytest.raises(ConfigError, match="an edge asks none: give policy="):
        route_edge(two_tiers(Asks()))(ASK)


def test_the_running_cost_is_in_the_state_and_in_the_custom_stream(live: LoopbackProvider, routed: Make) -> None:
    built = line(route_node(two_tiers(Always("large"))), asking(routed()))
    built.add_node("again", asking(routed()))
    built.add_edge("writer", "again")
    parts = list(built.compile().stream(ASK, stream_mode=["values", "custom"]))
    state = parts[-1][1]
    stamps = [m.response_metadata["tierwise"] for m in state["messages"][1:]]
    # One word a token, 2 USD a million in and 8 out: "Why?" and the first answer are read, three words are said.
    assert [s["cost"] for s in stamps] == ["0.000026", "0.000032"]
    routing = state["tierwise"]
    assert (routing["calls"], routing["cost"]) == (2, "0.000058")
    assert {i: run["tier"] for i, run in routing["runs"].items()} == {s["run_id"]: "large" for s in stamps}
    told = [part["tierwise"] for mode, part in parts if mode == "custom"]
    assert told[0]["decisions"] == {"*": LARGE}
    assert [(t["calls"], t["cost"]) for t in told] == [(0, "0"), (1, "0.000026"), (2, "0.000058")]


def test_the_node_adds_what_nodes_before_it_did_not_bill(live: LoopbackProvider, routed: Make) -> None:
    model = routed(task={"min_tier": "large"})

    def forgetful(state: State) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    built = StateGraph(State)
    built.add_node("writer", forgetful)
    built.add_node("route", route_node(two_tiers()))
    built.add_edge(START, "writer")
    built.add_edge("writer", "route")
    assert built.compile().invoke(ASK)["tierwise"]["cost"] == "0.000026"


def test_a_graph_that_waits_pays_for_no_step_twice(live: LoopbackProvider, routed: Make) -> None:
    def wait(state: State) -> Any:
        return {"messages": [("user", interrupt("What else?"))]}

    model = routed()
    built = line(route_node(two_tiers(Always("large"))), asking(model))
    built.add_node("wait", wait)
    built.add_node("again", asking(model))
    built.add_edge("writer", "wait")
    built.add_edge("wait", "again")
    graph = built.compile(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t1"}}
    graph.invoke(ASK, thread)
    assert live.count() == 1
    state = graph.invoke(Command(resume="Why else?"), thread)
    # The decision was checkpointed: it holds behind the interrupt too.
    assert [c.model for c in live.calls] == ["large", "large"]
    receipt = receipt_of(model.router, graph.get_state(thread))
    assert [(row.node, row.session) for row in receipt.rows] == [("writer", "t1"), ("again", "t1")]
    assert state["tierwise"]["cost"] == str(receipt.cost)


def test_branches_side_by_side_have_a_decision_each(live: LoopbackProvider, routed: Make) -> None:
    model = routed()
    built = StateGraph(State)
    for name, tier in (("left", "small"), ("right", "large")):
        built.add_node(f"route_{name}", route_node(two_tiers(Always(tier)), job=name))
        built.add_node(name, asking(model))
        built.add_edge(START, f"route_{name}")
        built.add_edge(f"route_{name}", name)
    state = built.compile().invoke(ASK)
    assert sorted(c.model for c in live.calls) == ["large", "small"]
    assert (state["tierwise"]["calls"], len(state["tierwise"]["runs"])) == (2, 2)


def test_a_state_may_keep_its_question_as_a_text_elsewhere() -> None:
    class Question(RoutingState):
        question: str

    built = StateGraph(Question)
    built.add_node("route", route_node(two_tiers(Always("large")), messages_key="question"))
    built.add_edge(START, "route")
    state = built.compile().invoke({"question": "Why?"})
    assert state["tierwise"]["decisions"]["*"]["tier"] == "large"


def test_a_node_can_be_tried_without_a_graph() -> None:
    command: Any = route_node(two_tiers(Always("large")))({"messages": "Why?"})
    assert command.update["tierwise"]["decisions"] == {"*": LARGE}
    assert command.goto == ()


def test_a_state_without_the_channel_is_told() -> None:
    class Plain(TypedDict):
        messages: Annotated[list[BaseMessage], add_messages]

    built = StateGraph(Plain)
    built.add_node("route", route_node(two_tiers()))
    built.add_edge(START, "route")
    with pytest.raises(ConfigError, match=r"no channel 'tierwise'.*derive it from tierwise_langgraph\.RoutingState"):
        built.compile().invoke(ASK)


@pytest.mark.parametrize(
    ("destinations", "error", "says"),
    [
        ({"small": "a", "larg": "b"}, UnknownNameError, "did you mean 'large'"),
        ({"small": "a"}, ConfigError, "has no node for 'large'"),
    ],
)
def test_wrong_destinations_are_refused_at_the_start(destinations: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        route_node(two_tiers(), destinations)


def test_a_task_s_bounds_hold_for_the_decision() -> None:
    fleet = Fleet([Tier("small", "ollama:small"), Tier("large", "openai:large")])
    node = route_node(Router(fleet, policy=Always("large")), task={"max_tier": "small"})
    command: Any = node({"messages": "Why?"})
    assert command.update["tierwise"]["decisions"]["*"]["tier"] == "small"
