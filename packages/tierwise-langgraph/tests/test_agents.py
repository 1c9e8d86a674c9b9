# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
"""The routed model in real agents and graphs, over real HTTP."""

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel
from tierwise import Reply as Answer
from tierwise.attempt import GateAnswer, Prefix
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_langgraph import RoutedChatModel

Make = Callable[..., RoutedChatModel]

DRAFT = "This draft is far too long to be accepted"


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


def call_weather(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))


def agent_of(model: RoutedChatModel, tools: list[Any], **options: Any) -> Any:
    return create_agent(model, tools, **options)


def calls_only(prefix: Prefix) -> GateAnswer:
    return "commit" if prefix.tool_calls else "undecided"


class State(TypedDict):
    messages: Annotated[list[BaseMessage], add_messages]


def graph(model: Any, checkpointer: Any = None) -> Any:
    async def writer(state: State, config: RunnableConfig) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"], config)]}

    built = StateGraph(State)
    built.add_node("writer", writer)
    built.add_edge(START, "writer")
    built.add_edge("writer", END)
    return built.compile(checkpointer=checkpointer)


def shown(parts: list[tuple[Any, Any]]) -> str:
    return "".join(str(message.text) for message, _ in parts if isinstance(message, AIMessageChunk))


def test_an_agent_s_tool_call_by_the_small_tier_costs_one_call_a_step(provider: LoopbackProvider, routed: Make) -> None:
    call_weather(provider)
    agent = agent_of(routed(), [weather])
    state = agent.invoke({"messages": [("user", "The weather in Oslo?")]})
    assert [m.type for m in state["messages"]] == ["human", "ai", "tool", "ai"]
    assert state["messages"][2].content == "Rain in Oslo"
    assert state["messages"][-1].content == "Rain."
    assert [c.model for c in provider.calls] == ["small", "small"]
    assert provider.calls[0].tools[0]["function"]["name"] == "weather"


async def test_a_streamed_tool_call_costs_one_call_a_step(provider: LoopbackProvider, routed: Make) -> None:
    call_weather(provider)
    agent = agent_of(routed(), [weather])
    parts = [p async for p in agent.astream({"messages": [("user", "Oslo?")]}, stream_mode="messages")]
    calls = [c for m, _ in parts if isinstance(m, AIMessageChunk) for c in m.tool_call_chunks]
    assert [c["name"] for c in calls] == ["weather"]
    assert shown(parts) == "Rain."
    assert provider.count() == 2


async def test_a_gate_streams_the_small_tier_s_tool_call_from_the_provider(
    provider: LoopbackProvider, routed: Make
) -> None:
    call_weather(provider)
    agent = agent_of(routed(gate=calls_only), [weather])
    parts = [p async for p in agent.astream({"messages": [("user", "Oslo?")]}, stream_mode="messages")]
    assert shown(parts) == "Rain."
    assert [c.stream for c in provider.calls] == [True, True]
    assert provider.count() == 2


async def test_the_large_tier_s_tool_call_streams_in_pieces(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain it is."))
    agent = agent_of(routed(task={"min_tier": "large"}), [weather])
    parts = [p async for p in agent.astream({"messages": [("user", "Oslo?")]}, stream_mode="messages")]
    calls = [c for m, _ in parts if isinstance(m, AIMessageChunk) for c in m.tool_call_chunks]
    assert len(calls) > 1
    assert "".join(c["args"] or "" for c in calls) == '{"city": "Oslo"}'
    assert shown(parts) == "Rain it is."
    assert provider.count("large") == 2


async def test_no_streaming_mode_shows_a_rejected_draft(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    question = {"messages": [("user", "Why?")]}
    compiled = graph(routed())
    for mode in ("messages", "updates", "values", "debug"):
        seen = [str(part) async for part in compiled.astream(question, stream_mode=mode)]
        assert DRAFT not in "".join(seen), mode
    assert DRAFT not in str([event async for event in compiled.astream_events(question, version="v2")])
    parts = [p async for p in compiled.astream(question, stream_mode="messages")]
    assert shown(parts) == "The large answer"
    assert len([m for m, _ in parts if m.text]) == 3


async def test_the_receipt_shows_the_draft_and_the_answer(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    message = (await graph(routed()).ainvoke({"messages": [("user", "Why?")]}))["messages"][-1]
    [reply] = replies
    assert [(r.model, r.purpose, r.verdict) for r in reply.attempts] == [
        ("ollama:small", "draft", "reject"),
        ("openai:large", "answer", "accept"),
    ]
    assert [(r.usage.input_tokens, r.usage.output_tokens) for r in reply.attempts if r.usage] == [
        (c.billed_input, c.billed_output) for c in provider.calls
    ]
    assert message.usage_metadata["output_tokens"] == provider.calls[1].billed_output
    assert message.response_metadata["model_name"] == "large"
    stamp = message.response_metadata["tierwise"]
    assert (stamp["tier"], stamp["calls"]) == ("large", 2)
    assert stamp["cost"] == str(reply.cost)


async def test_node_and_thread_reach_the_ledger_s_rows(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text="Because."))
    compiled = graph(routed(), InMemorySaver())
    await compiled.ainvoke({"messages": [("user", "Why?")]}, {"configurable": {"thread_id": "t1"}})
    [row] = replies[0].attempts
    assert (row.node, row.session) == ("writer", "t1")


class Person(BaseModel):
    """A person."""

    name: str
    age: int


def test_typed_output_by_the_small_tier_costs_one_call(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("Person", {"name": "Ada", "age": 36})]))
    answer = routed().with_structured_output(Person).invoke("Who?")
    assert answer == Person(name="Ada", age=36)
    assert provider.count() == 1


def test_typed_output_that_does_not_fit_goes_up(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("Person", {"name": "Ada", "age": "old"})]), Reply(text="Ada."))
    provider.on("large", Reply(tool_calls=[Call("Person", {"name": "Ada", "age": 36})]))
    typed = routed().with_structured_output(Person)
    assert typed.invoke("Who?") == typed.invoke("Who?") == Person(name="Ada", age=36)
    assert [c.model for c in provider.calls] == ["small", "large"] * 2


def test_an_agent_gives_typed_output(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("Person", {"name": "Ada", "age": 36})]))
    agent = agent_of(routed(), [weather], response_format=ToolStrategy(Person))
    assert agent.invoke({"messages": [("user", "Who?")]})["structured_response"] == Person(name="Ada", age=36)
    assert provider.count() == 1
