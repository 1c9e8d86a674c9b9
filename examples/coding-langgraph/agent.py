"""A coding agent: a graph that plans, looks, patches and proves. The test run decides whose patch is taken.

    python agent.py --bug 01

What to change first: the edges of `graph`; which tier does what stands in the policy of `tierwise_examples.coding`.
"""

# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
from __future__ import annotations

from typing import Any, Literal

from langchain_core.messages import ToolMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command
from tierwise.errors import RejectedError
from tierwise_examples.coding import Plan, Repair, main
from tierwise_langgraph import RoutedChatModel


class State(MessagesState):
    """What the nodes hand on; the messages are those of looking around."""

    plan: Plan
    patch: str


def graph(repair: Repair) -> Any:
    """The agent for one bug. Nodes are named for their job, by which the router's policy picks the tier."""
    model = RoutedChatModel(repair.router)

    def plan(state: State) -> Any:
        planner = model.with_structured_output(Plan)
        return {"plan": planner.invoke(repair.plan_prompt(), task=repair.task("plan"))}

    def look(state: State) -> Command[Literal["tools", "patch"]]:
        looker = model.bind_tools(repair.tools, tool_choice="any")
        try:
            call = looker.invoke(repair.look_prompt(state["plan"]), task=repair.task("look"))
        except RejectedError:  # no tier made a call that makes sense: the patch has to do without
            return Command(goto="patch")
        return Command(goto="tools", update={"messages": [call]})

    def patch(state: State) -> Any:
        seen = "\n".join(m.text for m in state["messages"] if isinstance(m, ToolMessage))
        answer = model.invoke(repair.patch_prompt(state["plan"], seen), task=repair.task("patch"))
        return {"patch": answer.text}

    def prove(state: State) -> None:
        repair.take(state["patch"])

    return (
        StateGraph(State)
        .add_node(plan)
        .add_node(look)
        .add_node("tools", ToolNode(repair.tools))
        .add_node(patch)
        .add_node(prove)
        .add_edge(START, "plan")
        .add_edge("plan", "look")
        .add_edge("tools", "patch")  # by rule: that the tool answered is the end of looking, no model has to say so
        .add_edge("patch", "prove")
        .add_edge("prove", END)
        .compile()
    )


def fix(repair: Repair) -> None:
    """Works on one bug, and hands the patch to the repair."""
    graph(repair).invoke({"messages": []})


if __name__ == "__main__":
    main(fix)
