# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false
"""Every way to stream: what is accepted is shown once, in pieces; a rejected draft is never seen."""

from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from tierwise.strategies import act_only
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_langgraph import RoutedChatModel

Make = Callable[..., RoutedChatModel]

DRAFT = "This draft is far too long to be accepted"
ASK: Any = {"messages": [("user", "Why?")]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
    pytest.mark.filterwarnings("ignore:.*version='v1' is deprecated"),
]


class State(TypedDict):
    messages: Annotated[list[BaseMessage], add_messages]


@pytest.fixture
def escalating(provider: LoopbackProvider) -> LoopbackProvider:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    return provider


def graph(model: Any) -> Any:
    def writer(state: State) -> Any:
        return {"messages": [model.invoke(state["messages"])]}

    async def awriter(state: State) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    built = StateGraph(State)
    built.add_node("writer", RunnableLambda(writer, afunc=awriter))
    built.add_edge(START, "writer")
    return built.compile()


def seen_of(events: list[Any]) -> str:
    return "".join(str(event) for event in events)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_events_of_the_model(escalating: LoopbackProvider, routed: Make, version: Any) -> None:
    events = [event async for event in routed().astream_events("Why?", version=version)]
    assert DRAFT not in seen_of(events)
    shown = [e["data"]["chunk"].text for e in events if e["event"] == "on_chat_model_stream"]
    assert "".join(shown) == "The large answer"
    assert [e["event"] for e in events].count("on_chat_model_start") == 1


async def test_events_of_the_model_in_version_3(escalating: LoopbackProvider, routed: Make) -> None:
    stream: Any = await routed().astream_events("Why?", version="v3")
    events = [event async for event in stream]
    assert DRAFT not in seen_of(events)
    message = await stream.output
    assert message.text == "The large answer"
    assert message.response_metadata["tierwise"]["tier"] == "large"
    assert message.usage_metadata["output_tokens"] == 3


def test_sync_events_of_the_model_in_version_3(escalating: LoopbackProvider, routed: Make) -> None:
    stream: Any = routed().stream_events("Why?", version="v3")
    events = list(stream)
    assert DRAFT not in seen_of(events)
    assert stream.output.text == "The large answer"


def test_a_tool_call_in_version_3(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("look", {"at": 1})]))
    for gate in (None, act_only()):
        stream: Any = routed(gate=gate).bind_tools([TOOL]).stream_events("Look.", version="v3")
        assert [(c["name"], c["args"]) for c in stream.output.tool_calls] == [("look", {"at": 1})]


async def test_events_of_a_graph(escalating: LoopbackProvider, routed: Make) -> None:
    made = graph(routed())
    for version in ("v1", "v2"):
        events = [event async for event in made.astream_events(ASK, version=version)]
        assert DRAFT not in seen_of(events)
    stream = await made.astream_events(ASK, version="v3")
    assert DRAFT not in seen_of([event async for event in stream])


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_all_modes_of_a_graph_at_once(escalating: LoopbackProvider, routed: Make, version: Any) -> None:
    modes = ["values", "updates", "messages", "custom", "checkpoints", "tasks", "debug"]
    made = graph(routed())
    sync = list(made.stream(ASK, stream_mode=modes, version=version, subgraphs=True))
    awaited = [p async for p in made.astream(ASK, stream_mode=modes, version=version, subgraphs=True)]
    assert DRAFT not in seen_of(sync + awaited)
    assert "The large answer" in seen_of(sync)


async def test_merged_chunks_are_the_message(escalating: LoopbackProvider, routed: Make) -> None:
    model = routed()
    whole: Any = None
    async for chunk in model.astream("Why?"):
        whole = chunk if whole is None else whole + chunk
    message = await model.ainvoke("Why?")
    assert whole.text == message.text
    assert whole.usage_metadata == message.usage_metadata
    for key in ("model_name", "model_provider"):
        assert whole.response_metadata[key] == message.response_metadata[key]
    same = ("tier", "model", "status", "rule", "reason", "calls", "cost")
    stamps = [m.response_metadata["tierwise"] for m in (whole, message)]
    assert [stamps[0][k] for k in same] == [stamps[1][k] for k in same]


def test_batches_are_routed_one_by_one(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", lambda r: Reply(text=DRAFT if "hard" in r.messages[-1]["content"] else "Small."))
    provider.on("large", Reply(text="Large."))
    answers = routed().batch(["easy", "hard", "easy"])
    assert [a.text for a in answers] == ["Small.", "Large.", "Small."]


async def test_async_batches_are_routed_one_by_one(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", lambda r: Reply(text=DRAFT if "hard" in r.messages[-1]["content"] else "Small."))
    provider.on("large", Reply(text="Large."))
    answers: list[AIMessage] = await routed().abatch(["easy", "hard", "easy"])
    assert [a.text for a in answers] == ["Small.", "Large.", "Small."]
