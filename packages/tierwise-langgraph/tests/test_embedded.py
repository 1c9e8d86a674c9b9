# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false
"""Agents and graphs on real small models, on this machine."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from pydantic import BaseModel
from tierwise import Always, Cascade, Router
from tierwise.verifiers import free_verifier
from tierwise_embedded import spawn
from tierwise_langgraph import RoutedChatModel, RoutingState, TierwiseMiddleware, bill, receipt_of, route_node

TINY, SMALL = "smollm2:135m", "qwen2.5-coder:0.5b"
THREAD: Any = {"configurable": {"thread_id": "t1"}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with spawn([TINY, SMALL]) as server:
        yield server.url


@pytest.fixture
def models(url: str) -> dict[str, BaseChatModel]:
    return {name: ChatOllama(model=name, base_url=url, temperature=0, num_predict=48) for name in (TINY, SMALL)}


@pytest.fixture
def router() -> Router:
    checks = Cascade(free_verifier(), on_unverified="accept")
    return Router.simple(small=f"ollama:{TINY}", large=f"ollama:{SMALL}", strategy=checks, policy=Always("small"))


@pytest.fixture
def model(router: Router, models: dict[str, BaseChatModel]) -> RoutedChatModel:
    return RoutedChatModel(router, models={f"ollama:{name}": made for name, made in models.items()})


class State(RoutingState):
    messages: Annotated[list[BaseMessage], add_messages]


class City(BaseModel):
    """A city."""

    name: str
    country: str


@tool(return_direct=True)
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


def ask(text: str) -> Any:
    return {"messages": [("user", text)]}


def asking(model: RoutedChatModel) -> Any:
    def node(state: State) -> Any:
        answer = model.invoke(state["messages"])
        return {"messages": [answer], **bill(answer)}

    return node


def test_typed_answers(model: RoutedChatModel) -> None:
    typed = model.with_structured_output(City, include_raw=True)
    both = typed.invoke("Oslo is the capital of Norway. Give its name and its country as JSON.")
    assert isinstance(both["parsed"], City)
    assert both["raw"].response_metadata["tierwise"]["status"] == "verified"


async def test_an_agent_s_tool_call_after_an_approval(
    router: Router, model: RoutedChatModel, models: dict[str, BaseChatModel]
) -> None:
    # The tiny model's template has no tools: the server refuses them, and the step falls back.
    middleware = TierwiseMiddleware(router, models=model.models, task={"tools_required": True})
    approval = HumanInTheLoopMiddleware(interrupt_on={"weather": True})
    made: Any = create_agent(models[TINY], [weather], middleware=[middleware, approval], checkpointer=InMemorySaver())
    await made.ainvoke(ask("What is the weather in Oslo? Call the tool."), THREAD)
    assert made.get_state(THREAD).interrupts
    state = await made.ainvoke(Command(resume={"decisions": [{"type": "approve"}]}), THREAD)
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool"]
    assert "Oslo" in state["messages"][-1].content
    receipt = receipt_of(router, made.get_state(THREAD))
    assert receipt.cost == 0
    assert [row.session for row in receipt.rows] == ["t1"] * len(receipt.rows)
    refused, answered = receipt.rows
    assert (refused.model, refused.error_type, refused.cost) == (f"ollama:{TINY}", "InvalidRequestError", 0)
    assert (answered.model, answered.repaired) == (f"ollama:{SMALL}", True)
    assert answered.usage is not None
    assert not answered.usage.estimated


def test_a_graph_that_routes_waits_and_goes_on(router: Router, model: RoutedChatModel) -> None:
    def wait(state: State) -> Any:
        return {"messages": [("user", interrupt("What else?"))]}

    up = Router(router.fleet, policy=Always("large"))
    built = StateGraph(State)
    for name, node in (("route", route_node(up)), ("writer", asking(model)), ("wait", wait), ("again", asking(model))):
        built.add_node(name, node)
    built.add_edge(START, "route")
    for here, there in (("route", "writer"), ("writer", "wait"), ("wait", "again")):
        built.add_edge(here, there)
    graph: Any = built.compile(checkpointer=InMemorySaver())
    graph.invoke(ask("Name a colour."), THREAD)
    state = graph.invoke(Command(resume="Name another."), THREAD)
    answers = [m for m in state["messages"] if m.type == "ai"]
    assert len(answers) == 2
    assert all(m.text and m.response_metadata["model_name"] == SMALL for m in answers)
    assert Decimal(state["tierwise"]["cost"]) == receipt_of(router, state).cost == 0


async def test_branches_and_a_subgraph_stream(model: RoutedChatModel) -> None:
    agent: Any = create_agent(model, [], name="inner")
    built = StateGraph(State)
    built.add_node("left", asking(model))
    built.add_node("right", agent)
    built.add_edge(START, "left")
    built.add_edge(START, "right")
    graph: Any = built.compile()
    shown: dict[str, str] = {}
    state: Any = None
    async for namespace, mode, part in graph.astream(
        ask("Say hello."), stream_mode=["messages", "values"], subgraphs=True
    ):
        if mode == "values" and not namespace:
            state = part
        elif mode == "messages" and isinstance(part[0], AIMessageChunk):
            shown[part[0].id] = shown.get(part[0].id, "") + str(part[0].text)
    answers = {m.id: m.text for m in state["messages"] if m.type == "ai"}
    assert len(answers) == 2
    assert shown == answers
