# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false
"""Agents of `create_agent` with the middleware, over real HTTP."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    wrap_model_call,
)
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphBubbleUp
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command
from pydantic import BaseModel
from tierwise import Reply as Answer
from tierwise import Router
from tierwise.errors import AllModelsFailedError
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_langgraph import RoutedChatModel, RoutingState, TierwiseMiddleware, receipt_of

Make = Callable[..., RoutedChatModel]

DRAFT = "This draft is far too long to be accepted"
ASK: Any = {"messages": [("user", "The weather in Oslo?")]}
UNASKED = ChatOllama(model="unasked", base_url="http://127.0.0.1:9")


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


class Person(BaseModel):
    """A person."""

    name: str


@pytest.fixture
def middleware(
    routed: Make, models: dict[str, BaseChatModel], replies: list[Answer]
) -> Callable[..., TierwiseMiddleware]:
    def make(**options: Any) -> TierwiseMiddleware:
        router: Router = routed(**options).router
        return TierwiseMiddleware(router, models=models, on_reply=replies.append)

    return make


Wrap = Callable[..., TierwiseMiddleware]


class State(RoutingState):
    messages: Annotated[list[Any], add_messages]


def agent(*middleware: Any, tools: Any = (weather,), **options: Any) -> Any:
    return create_agent(UNASKED, list(tools), middleware=list(middleware), **options)


def call_weather(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))


def test_each_step_has_a_tier_of_its_own(provider: LoopbackProvider, middleware: Wrap) -> None:
    def late(task: Any) -> str:
        return "large" if task.last.role == "tool" else "small"

    call_weather(provider)
    provider.on("large", Reply(text="It rains."))
    state = agent(middleware(policy=late)).invoke(ASK)
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert state["messages"][-1].text == "It rains."
    assert [c.model for c in provider.calls] == ["small", "large"]


@pytest.mark.parametrize(
    "wrong", [Call("wether", {"city": "Oslo"}), Call("weather", {"town": 1}), Call("weather", '{"city')]
)
def test_a_wrong_tool_call_goes_up_before_the_agent_sees_it(
    provider: LoopbackProvider, middleware: Wrap, wrong: Call
) -> None:
    provider.on("small", Reply(tool_calls=[wrong]), Reply(text="Rain."))
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    state = agent(middleware()).invoke(ASK)
    assert state["messages"][2].content == "Rain in Oslo"
    assert [c.model for c in provider.calls] == ["small", "large", "small"]


def test_a_failed_model_is_fallen_back_from(provider: LoopbackProvider, middleware: Wrap) -> None:
    provider.on("small", Reply(status=503))
    provider.on("large", Reply(text="Rain."))
    assert agent(middleware()).invoke(ASK)["messages"][-1].text == "Rain."
    assert [c.model for c in provider.calls] == ["small", "large"]


async def test_no_streaming_mode_shows_a_rejected_draft(provider: LoopbackProvider, middleware: Wrap) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="It rains."))
    made = agent(middleware())
    for mode in ("messages", "updates", "values", "custom", "debug", "checkpoints", "tasks"):
        seen = [str(part) async for part in made.astream(ASK, stream_mode=mode)]
        assert DRAFT not in "".join(seen), mode
    parts = [p async for p in made.astream(ASK, stream_mode="messages")]
    said = [m.text for m, _ in parts if isinstance(m, AIMessageChunk) and m.text]
    assert said == ["It", " rains."]


def test_the_running_cost_is_in_the_agent_s_state(provider: LoopbackProvider, middleware: Wrap) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text=DRAFT))
    provider.on("large", Reply(text="It rains."))
    made = middleware()
    parts = list(agent(made).stream(ASK, stream_mode=["values", "custom"]))
    state = parts[-1][1]
    receipt = receipt_of(made.model.router, state)
    routing = state["tierwise"]
    assert (routing["calls"], routing["cost"]) == (3, str(receipt.cost))
    assert [(r.model, r.verdict) for r in receipt.rows] == [
        ("ollama:small", "accept"),
        ("ollama:small", "reject"),
        ("openai:large", "accept"),
    ]
    told = [part["tierwise"] for mode, part in parts if mode == "custom"]
    assert [(t["calls"], t["cost"]) for t in told] == [(1, "0"), (3, str(receipt.cost))]


def test_a_typed_answer_of_the_small_tier_costs_one_call(provider: LoopbackProvider, middleware: Wrap) -> None:
    provider.on("small", Reply(tool_calls=[Call("Person", {"name": "Ada"})]))
    state = agent(middleware(), response_format=ToolStrategy(Person)).invoke(ASK)
    assert state["structured_response"] == Person(name="Ada")
    assert provider.count() == 1


def test_a_typed_answer_that_does_not_fit_goes_up(provider: LoopbackProvider, middleware: Wrap) -> None:
    provider.on("small", Reply(tool_calls=[Call("Person", {"nam": "Ada"})]))
    provider.on("large", Reply(tool_calls=[Call("Person", {"name": "Ada"})]))
    state = agent(middleware(), response_format=Person).invoke(ASK)
    assert state["structured_response"] == Person(name="Ada")
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool"]
    assert [c.model for c in provider.calls] == ["small", "large"]


def test_an_approval_interrupts_and_resumes(provider: LoopbackProvider, middleware: Wrap) -> None:
    call_weather(provider)
    asks = HumanInTheLoopMiddleware(interrupt_on={"weather": True})
    made = middleware()
    running = agent(made, asks, checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": "t1"}}
    running.invoke(ASK, thread)
    assert running.get_state(thread).interrupts
    assert provider.count() == 1
    state = running.invoke(Command(resume={"decisions": [{"type": "approve"}]}), thread)
    assert state["messages"][-1].text == "Rain."
    assert provider.count() == 2
    # Both steps are on one receipt, read from what was checkpointed.
    rows = receipt_of(made.model.router, running.get_state(thread)).rows
    assert [(r.session, r.node) for r in rows] == [("t1", "model")] * 2


async def test_it_composes_with_other_middleware(provider: LoopbackProvider, middleware: Wrap) -> None:
    seen: list[Any] = []

    @wrap_model_call
    async def outside(request: Any, handler: Any) -> Any:
        response = await handler(request)
        seen.append(response.result[0].response_metadata["tierwise"]["tier"])
        return response

    @wrap_model_call
    async def inside(request: Any, handler: Any) -> Any:
        seen.append(type(request.model).__name__)
        return await handler(request)

    call_weather(provider)
    state = await agent(outside, ModelCallLimitMiddleware(run_limit=5), middleware(), inside).ainvoke(ASK)
    assert seen == ["RoutedChatModel", "small"] * 2
    assert state["tierwise"]["calls"] == 2


def test_a_retry_around_it_counts_every_call_on_the_receipt(provider: LoopbackProvider, middleware: Wrap) -> None:
    provider.on("small", Reply(status=500), Reply(text="Rain."))
    provider.on("large", Reply(status=500))
    retries = ModelRetryMiddleware(max_retries=1, initial_delay=0)
    thread: Any = {"configurable": {"thread_id": "t1"}}
    made = middleware()
    state = agent(retries, made).invoke(ASK, thread)
    assert state["messages"][-1].text == "Rain."
    assert [c.model for c in provider.calls] == ["small", "large", "small"]
    assert len(made.model.router.receipt(session="t1").rows) == 3


async def test_what_belongs_to_the_graph_passes_through(provider: LoopbackProvider, middleware: Wrap) -> None:
    class Stops(GraphBubbleUp):
        pass

    def stops(outcome: Any) -> bool:
        raise Stops

    call_weather(provider)
    running = agent(middleware(verifier=stops))
    with pytest.raises(Stops):
        running.invoke(ASK)
    with pytest.raises(Stops):
        await running.ainvoke(ASK)


def test_an_error_leads_to_its_receipt(provider: LoopbackProvider, middleware: Wrap) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(status=401))
    made = middleware()
    with pytest.raises(AllModelsFailedError) as caught:
        agent(made).invoke(ASK)
    assert [r.error_type for r in receipt_of(made.model.router, caught.value).rows] == [
        "UnavailableError",
        "AuthenticationError",
    ]


def test_a_named_agent_s_name_is_the_role(provider: LoopbackProvider, middleware: Wrap, replies: list[Answer]) -> None:
    call_weather(provider)
    state = agent(middleware(), name="forecaster").invoke(ASK)
    assert {row.role for reply in replies for row in reply.attempts} == {"forecaster"}
    assert isinstance(state["messages"][1], AIMessage)
    assert state["messages"][1].name == "forecaster"


def test_sub_agents_bill_the_graph_above_them(provider: LoopbackProvider, middleware: Wrap) -> None:
    provider.on("small", Reply(text="Rain."))
    made = middleware()
    built = StateGraph(State)
    for name in ("first", "second"):
        built.add_node(name, agent(made, name=name))
        built.add_edge(START, name)
    state = built.compile().invoke(ASK)
    assert (state["tierwise"]["calls"], provider.count()) == (2, 2)
    assert {r.role for r in receipt_of(made.model.router, state).rows} == {"first", "second"}


def test_a_middleware_of_ours_is_one_of_theirs(middleware: Wrap) -> None:
    made = middleware()
    assert isinstance(made, AgentMiddleware)
    with pytest.raises(AssertionError, match="duplicate middleware"):
        agent(made, middleware())
