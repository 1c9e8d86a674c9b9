"""A research agent: a graph that rewrites, searches, filters, answers, and checks each open claim side by side.

    python agent.py "How often are the zinc anodes of a wave buoy replaced?"

What to change first: `--docs`, your own folder of documents; then the edges of `graph`.
"""

# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Sequence
from operator import or_
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel
from tierwise.errors import RejectedError
from tierwise_examples.research import Claim, Inquiry, Passage, Queries, Relevant, Report, Supported, main
from tierwise_langgraph import RoutedChatModel


class State(TypedDict):
    """What the nodes hand on."""

    queries: Sequence[str]
    passages: list[Passage]
    claims: list[Claim]
    checks: Annotated[dict[int, Supported], or_]
    """By a claim's number: branches that run side by side each add their own."""
    report: Report


class Doubt(TypedDict):
    """What one branch is sent."""

    claim: Claim


def found(state: State) -> str:
    """Where to go from a search: without a passage there is nothing to ask a model."""
    return "filter" if state["passages"] else "report"


def graph(inquiry: Inquiry) -> Any:
    """The agent for one question. Nodes are named for their job, by which the router's policy picks the tier."""
    model = RoutedChatModel(inquiry.router)

    def asked(job: str, prompt: str, shape: type[BaseModel]) -> Any:
        """A typed answer; `None` where no tier gives one that holds, as the answer can be found without it."""
        try:
            return model.with_structured_output(shape).invoke(prompt, task=inquiry.task(job))
        except RejectedError:
            return None

    def rewrite(state: State) -> Any:
        found: Queries | None = asked("rewrite", inquiry.rewrite_prompt(), Queries)
        return {"queries": found.queries if found else ()}

    def search(state: State) -> Any:
        return {"passages": inquiry.search(state["queries"])}

    def sift(state: State) -> Any:
        relevant: Relevant | None = asked("filter", inquiry.filter_prompt(state["passages"]), Relevant)
        return {"passages": inquiry.keep(state["passages"], relevant or ())}

    def answer(state: State) -> Any:
        text = model.invoke(inquiry.answer_prompt(state["passages"]), task=inquiry.task("answer")).text
        return {"claims": inquiry.claims(text, state["passages"])}

    def open_claims(state: State) -> list[Send] | str:
        return [Send("check", {"claim": claim}) for claim in inquiry.to_check(state["claims"])] or "report"

    def check(state: Doubt) -> Any:
        claim = state["claim"]
        supported: Supported | None = asked("check", inquiry.check_prompt(claim), Supported)
        return {"checks": {claim.number: supported} if supported else {}}

    def report(state: State) -> Any:
        return {"report": inquiry.report(state.get("claims", []), state.get("checks", {}))}

    return (
        StateGraph(State)
        .add_node(rewrite)
        .add_node(search)
        .add_node("filter", sift)
        .add_node(answer)
        .add_node(check)
        .add_node(report)
        .add_edge(START, "rewrite")
        .add_edge("rewrite", "search")
        .add_conditional_edges("search", found, ["filter", "report"])
        .add_edge("filter", "answer")
        .add_conditional_edges("answer", open_claims, ["check", "report"])
        .add_edge("check", "report")
        .add_edge("report", END)
        .compile()
    )


def answer(inquiry: Inquiry) -> Report:
    """Works on one question, and gives what can be said with its lines."""
    return graph(inquiry).invoke({})["report"]


if __name__ == "__main__":
    main(answer)
