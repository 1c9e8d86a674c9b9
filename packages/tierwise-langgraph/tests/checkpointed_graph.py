# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
"""A graph in a process of its own, which waits for a person or goes on. `test_checkpoints` starts it."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

from langchain_core.messages import BaseMessage
from langchain_ollama import ChatOllama
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, interrupt
from tierwise import Always, ModelSpec, Price, Router, Single
from tierwise_langgraph import RoutedChatModel, RoutingState, bill, receipt_of, route_node

FOLDER, URL, PHASE = sys.argv[1:]


class State(RoutingState):
    messages: Annotated[list[BaseMessage], add_messages]


router = Router.simple(
    small=ModelSpec("ollama:small", price=Price(1, 4)),
    large=ModelSpec("ollama:large", price=Price(2, 8)),
    policy=Always("large"),
    strategy=Single(),
    ledger=f"{FOLDER}/ledger.db",
)
model = RoutedChatModel(router, models={n: ChatOllama(model=n, base_url=URL) for n in ("small", "large")})


def answer(state: State) -> Any:
    message = model.invoke(state["messages"])
    return {"messages": [message], **bill(message)}


def wait(state: State) -> Any:
    return {"messages": [("user", interrupt("What else?"))]}


built = StateGraph(State)
built.add_node("route", route_node(router))
built.add_node("draft", answer)
built.add_node("wait", wait)
built.add_node("final", answer)
built.add_edge(START, "route")
for here, there in (("route", "draft"), ("draft", "wait"), ("wait", "final")):
    built.add_edge(here, there)

with SqliteSaver.from_conn_string(f"{FOLDER}/checkpoints.db") as saver:
    graph: Any = built.compile(checkpointer=saver)
    thread: Any = {"configurable": {"thread_id": "t1"}}
    asked: Any = Command(resume="And then?") if PHASE == "resumed" else {"messages": [("user", "Why?")]}
    graph.invoke(asked, thread)
    state = graph.get_state(thread)
    receipt = receipt_of(router, state)
    said = [str(m.text) for m in state.values["messages"]]
    rows = [(row.model, row.node, row.session) for row in receipt.rows]
    kept = state.values["tierwise"]
    print(json.dumps({"said": said, "rows": rows, "cost": str(receipt.cost), "kept": kept["cost"]}))
