"""Kickoffs of every kind over real HTTP: who called, why, in which kickoff, and what each cost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest
from crewai import Agent, BaseLLM, Crew, Process, Task
from crewai.flow.flow import Flow, listen, start
from crewai.tools import tool
from pydantic import BaseModel
from tierwise import Outcome, Router
from tierwise import Reply as Answer
from tierwise.errors import ConfigError, RunError
from tierwise.ledger import Row
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Request
from tierwise.verifiers import ValidOutput
from tierwise_crewai import RoutedLLM, receipt_of

Make = Callable[..., RoutedLLM]


class City(BaseModel):
    name: str
    people: int


@tool("weather")
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


def anything(outcome: Outcome) -> bool:
    return True


def agent(llm: BaseLLM, role: str = "Writer", **fields: Any) -> Any:
    return Agent(role=role, goal="Write", backstory="Knows", llm=llm, max_retry_limit=0, **fields)


def crew_of(llm: BaseLLM, *, tools: list[Any] | None = None, **task: Any) -> Any:
    writer = agent(llm, tools=tools or [])
    fields: dict[str, Any] = {"name": "write", "description": "Why {what}?", "expected_output": "A sentence", **task}
    return Crew(agents=[writer], tasks=[Task(agent=writer, **fields)])


def where(rows: tuple[Row, ...]) -> list[tuple[str | None, str | None, str | None]]:
    return [(row.role, row.node, row.job) for row in rows]


def billed(provider: LoopbackProvider, rows: tuple[Row, ...]) -> None:
    """The receipt counts what the provider counts, call for call."""
    counted = [(row.usage.input_tokens, row.usage.output_tokens) for row in rows if row.usage is not None]
    assert counted == [(call.billed_input, call.billed_output) for call in provider.calls]


def test_a_kickoff_s_output_reaches_its_receipt(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))
    llm = routed()
    output = crew_of(llm, tools=[weather]).kickoff(inputs={"what": "rain"})
    rows = receipt_of(llm.router, output).rows
    assert where(rows) == [("Writer", "write", None)] * 2
    assert len({row.session for row in rows}) == 1
    billed(provider, rows)
    assert output.token_usage.prompt_tokens == sum(call.billed_input for call in provider.calls)


def test_typed_output_is_one_call(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json={"name": "Oslo", "people": 1}))
    output = crew_of(routed(), output_pydantic=City).kickoff(inputs={"what": "Oslo"})
    assert output.pydantic == City(name="Oslo", people=1)
    assert provider.count() == 1


def test_a_crew_that_is_kicked_off_twice_has_two_bills(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="First."), Reply(text="Second."))
    llm = routed()
    crew = crew_of(llm)
    outputs = [crew.kickoff(inputs={"what": what}) for what in ("a", "b")]
    bills = [receipt_of(llm.router, output).rows for output in outputs]
    assert [len(rows) for rows in bills] == [1, 1]
    assert bills[0][0].session != bills[1][0].session
    assert receipt_of(llm.router, crew).rows == bills[1]
    assert receipt_of(llm.router, *outputs).rows == (*bills[0], *bills[1])


def test_each_copy_of_a_crew_counts_for_itself(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed()
    crew = crew_of(llm)
    outputs = crew.kickoff_for_each([{"what": "a"}, {"what": "b"}, {"what": "c"}])
    assert [len(receipt_of(llm.router, output).rows) for output in outputs] == [1, 1, 1]
    assert [o.token_usage.completion_tokens for o in outputs] == [c.billed_output for c in provider.calls]
    assert crew.usage_metrics.prompt_tokens == sum(c.billed_input for c in provider.calls)


async def test_async_kickoffs_side_by_side_have_a_bill_each(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed()
    crews = [crew_of(llm) for _ in range(3)]
    outputs = await asyncio.gather(*(c.akickoff(inputs={"what": "it"}) for c in crews))
    outputs += await crew_of(llm).akickoff_for_each([{"what": "a"}, {"what": "b"}])
    bills = [receipt_of(llm.router, output).rows for output in outputs]
    assert [len(rows) for rows in bills] == [1] * 5
    assert len({rows[0].session for rows in bills}) == 5
    output = await crew_of(llm).kickoff_async(inputs={"what": "it"})
    assert len(receipt_of(llm.router, output).rows) == 1


def test_a_task_in_a_thread_belongs_to_its_kickoff(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed()
    output = crew_of(llm, async_execution=True).kickoff(inputs={"what": "it"})
    assert where(receipt_of(llm.router, output).rows) == [("Writer", "write", None)]


def test_a_task_without_a_name_is_told_by_its_place(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed()
    writer = agent(llm)
    tasks = [Task(description=d, expected_output="A word", agent=writer) for d in ("First", "Second")]
    crew: Any = Crew(agents=[writer], tasks=tasks)
    output = crew.kickoff()
    assert [row.node for row in receipt_of(llm.router, output).rows] == ["task 1", "task 2"]


def test_a_crew_s_plan_is_made_at_the_top(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(json={"list_of_plans_per_task": [{"task_number": 1, "task": "t", "plan": " Step."}]}))
    provider.on("small", Reply(text="So."))
    llm = routed(verifier=ValidOutput() & anything)
    planner = copy(llm)
    writer = agent(llm)
    task = Task(name="write", description="Why?", expected_output="A sentence", agent=writer)
    crew: Any = Crew(agents=[writer], tasks=[task], planning=True, planning_llm=planner)
    rows = receipt_of(llm.router, crew.kickoff()).rows
    assert where(rows) == [("Task Execution Planner", None, "plan"), ("Writer", "write", None)]
    assert [row.tier for row in rows] == ["large", "small"]
    assert "Step." in provider.calls[1].messages[-1]["content"]


def test_a_planning_crew_can_be_copied(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("large", Reply(json={"list_of_plans_per_task": [{"task_number": 1, "task": "t", "plan": " Step."}]}))
    provider.on("small", Reply(text="So."))
    llm = routed(verifier=ValidOutput() & anything)
    writer = agent(llm)
    task = Task(name="write", description="Why {what}?", expected_output="A sentence", agent=writer)
    crew: Any = Crew(agents=[writer], tasks=[task], planning=True, planning_llm=copy(llm))
    outputs = crew.kickoff_for_each([{"what": "a"}, {"what": "b"}])
    assert [[r.tier for r in receipt_of(llm.router, o).rows] for o in outputs] == [["large", "small"]] * 2


def test_an_agent_that_plans_plans_at_the_top(provider: LoopbackProvider, routed: Make) -> None:
    plan: dict[str, Any] = {"plan": "Look.", "steps": [], "ready": True}
    provider.on("large", Reply(tool_calls=[Call("create_reasoning_plan", plan)]))
    provider.on("small", Reply(text="So."))
    llm = routed()
    writer = agent(llm, planning=True)
    task = Task(name="write", description="Why?", expected_output="A sentence", agent=writer)
    crew: Any = Crew(agents=[writer], tasks=[task])
    rows = receipt_of(llm.router, crew.kickoff()).rows
    assert [(row.job, row.tier) for row in rows] == [("plan", "large"), (None, "small")]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_manager_hands_out_the_work_and_each_pays_for_their_own(
    provider: LoopbackProvider, routed: Make, asynchronous: bool
) -> None:
    handed = {"task": "Say why", "context": "none", "coworker": "Writer"}
    provider.on("large", Reply(tool_calls=[Call("delegate_work_to_coworker", handed)]), Reply(text="It is so."))
    provider.on("small", Reply(text="Because."), Reply(text="It is so."))
    llm = routed()
    manager = copy(llm)
    writer = agent(llm)
    task = Task(name="why", description="Why?", expected_output="A sentence", agent=writer)
    crew: Any = Crew(agents=[writer], tasks=[task], process=Process.hierarchical, manager_llm=manager)
    output = asyncio.run(crew.akickoff()) if asynchronous else crew.kickoff()
    rows = receipt_of(llm.router, output).rows
    assert where(rows) == [("Crew Manager", "why", "plan"), ("Writer", "why", None), ("Crew Manager", "why", None)]
    assert [row.tier for row in rows] == ["large", "small", "small"]
    billed(provider, rows)


def test_a_call_that_does_not_say_whose_it_is_belongs_to_the_agent_at_work(
    provider: LoopbackProvider, routed: Make
) -> None:
    # No more steps are allowed: CrewAI asks for the last word without naming task or agent.
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Final."))
    llm = routed()
    writer = agent(llm, tools=[weather], max_iter=1)
    task = Task(name="write", description="Why?", expected_output="A sentence", agent=writer)
    crew: Any = Crew(agents=[writer], tasks=[task])
    rows = receipt_of(llm.router, crew.kickoff()).rows
    assert where(rows) == [("Writer", "write", None)] * 2


def test_tasks_side_by_side_on_one_llm_keep_their_last_words_apart(provider: LoopbackProvider, routed: Make) -> None:
    both_began = threading.Barrier(2, timeout=60)

    def reply(request: Request) -> Reply:
        if not request.tools or any(m["role"] == "tool" for m in request.messages):
            return Reply(text="Final.")
        both_began.wait()
        return Reply(tool_calls=[Call("weather", {"city": "Oslo"})])

    provider.on("small", reply)
    llm = routed()
    workers = [agent(llm, role, tools=[weather], max_iter=1) for role in ("Writer", "Reader")]
    tasks = [
        Task(name=name, description="Why?", expected_output="A sentence", agent=worker, async_execution=True)
        for name, worker in zip(("write", "read"), workers, strict=True)
    ]
    ender = agent(copy(llm), "Ender")
    last = Task(name="end", description="Why?", expected_output="A sentence", agent=ender)
    crew: Any = Crew(agents=[*workers, ender], tasks=[*tasks, last])
    bills = receipt_of(llm.router, crew.kickoff()).by("node")
    assert {name: [row.role for row in bill.rows] for name, bill in bills.items()} == {
        "write": ["Writer"] * 2,
        "read": ["Reader"] * 2,
        "end": ["Ender"],
    }


def test_a_flow_adds_up_its_crews_and_its_own_calls(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    provider.on("large", Reply(text="Large."))
    llm = routed()
    crews = [crew_of(copy(llm))]
    llm.task = {"min_tier": "large"}
    outputs: list[Any] = []

    class Report(Flow[dict[str, Any]]):
        @start()
        def begin(self) -> Any:
            return llm.call("Why?")

        @listen(begin)
        def write(self, answer: Any) -> Any:
            outputs.append(crews[0].kickoff(inputs={"what": "it"}))
            return outputs[0]

    flow = Report()
    flow.kickoff()
    rows = receipt_of(llm.router, flow).rows
    assert [row.tier for row in rows] == ["large", "small"]
    assert receipt_of(llm.router, outputs[0]).rows == rows[1:]
    assert rows[0].session != rows[1].session
    # CrewAI counts a flow by its events: of the accepted calls, one each.
    assert flow.usage_metrics.prompt_tokens == sum(call.billed_input for call in provider.calls)
    assert flow.usage_metrics.successful_requests == 2


def test_an_agent_by_itself_has_a_bill(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed()
    alone = agent(llm)
    alone.kickoff("Why?")
    assert where(receipt_of(llm.router, alone).rows) == [("Writer", None, None)]


def test_a_kickoff_that_fails_has_a_bill_too(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(status=500))
    llm = routed()
    crew = crew_of(llm)
    with pytest.raises(RunError, match="all models failed") as failed:
        crew.kickoff(inputs={"what": "it"})
    rows = receipt_of(llm.router, crew).rows
    assert receipt_of(llm.router, failed.value).rows == rows
    assert [row.error_type for row in rows] == ["UnavailableError", "UnavailableError"]


def test_what_came_of_no_kickoff_has_no_receipt(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed()
    crew = crew_of(llm)
    output = crew.kickoff(inputs={"what": "it"})
    for result in ("text", output.model_copy()):
        with pytest.raises(ConfigError, match="it came of no kickoff here"):
            receipt_of(llm.router, result)
    with pytest.raises(ConfigError, match="no call was routed by this router"):
        receipt_of(Router.simple(small="a:b", large="a:c"), output)


def test_the_user_s_own_session_stands_and_bills_stay_apart(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed(task={"session": "mine"})
    crew = crew_of(llm)
    outputs = [crew.kickoff(inputs={"what": what}) for what in ("a", "b")]
    assert [[r.session for r in receipt_of(llm.router, o).rows] for o in outputs] == [["mine"], ["mine"]]
    assert len(llm.router.receipt(session="mine").rows) == 2


async def test_one_router_serves_twenty_crews_at_once(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    def small(request: Request) -> Reply:
        number = request.messages[-1]["content"].split("Why number ")[1].split("?")[0]
        draft = "This draft is far too long to be accepted by anyone" if int(number) % 2 else f"Small {number}."
        return Reply(text=draft)

    def large(request: Request) -> Reply:
        return Reply(text=f"Large {request.messages[-1]['content'].split('Why number ')[1].split('?')[0]}.")

    provider.on("small", small)
    provider.on("large", large)
    llm = routed()
    crews = [crew_of(copy(llm)) for _ in range(20)]
    outputs = await asyncio.gather(*(c.akickoff(inputs={"what": f"number {i}"}) for i, c in enumerate(crews)))
    assert [o.raw for o in outputs] == [f"{'Large' if i % 2 else 'Small'} {i}." for i in range(20)]
    assert [len(receipt_of(llm.router, o).rows) for o in outputs] == [1, 2] * 10
    assert [o.token_usage.successful_requests for o in outputs] == [1] * 20
