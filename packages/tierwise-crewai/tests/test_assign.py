"""A model for each agent: the table, what a person changes in it, and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from crewai import Agent, BaseLLM, Crew, Process, Task
from crewai.agent.planning_config import PlanningConfig
from crewai.tools import tool
from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Router, Tier
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_crewai import Assignment, RoutedLLM, assign_models


@tool("run_tests")
def run_tests(path: str) -> str:
    """Runs the tests."""
    return "3 passed"


class Idle(BaseLLM):
    """What the agents have before."""

    def call(self, *args: Any, **kwargs: Any) -> str:
        raise AssertionError("nothing was assigned")


IDLE = Idle(model="idle")


def anything(outcome: Outcome) -> bool:
    return True


@pytest.fixture
def router() -> Router:
    fleet = Fleet(
        [
            Tier("small", ["ollama:small"]),
            Tier("large", [ModelSpec("openai:large", price=Price(2, 8))]),
        ]
    )
    return Router(fleet, strategy=Cascade(anything))


@pytest.fixture
def assigned(router: Router, models: dict[str, BaseLLM]) -> Callable[..., Assignment]:
    def assign(crew: Any, **options: Any) -> Assignment:
        return assign_models(crew, router, models=models, **options)

    return assign


def team(**options: Any) -> Any:
    agents: list[Any] = [
        Agent(role="Data Analyst", goal="Find what is wrong", backstory="Knows", llm=IDLE),
        Agent(role="Ada", goal="Write it down", backstory="Knows", llm=IDLE),
        Agent(role="Bob", goal="Help out", backstory="Knows", llm=IDLE, tools=[run_tests]),
        Agent(role="Eve", goal="Help out", backstory="Knows", llm=IDLE),
    ]
    tasks = [
        Task(name=a.role.lower(), description=f"{a.role}, {{what}}!", expected_output="It", agent=a) for a in agents
    ]
    return Crew(agents=agents, tasks=tasks, **options)


def test_the_table_says_on_which_word_each_line_stands(assigned: Callable[..., Assignment]) -> None:
    crew = team(process=Process.hierarchical, manager_llm=IDLE, planning=True)
    assignment = assigned(crew)
    lines = [line.split("  ") for line in str(assignment).splitlines()]
    table = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert [line[:4] for line in table] == [
        ["agent", "job", "stands on", "starts at"],
        ["Data Analyst", "analyze", "role: analyst", "large"],
        ["Ada", "write", "goal: write", "small"],
        ["Bob", "execute", "tool: run", "small"],
        ["Eve", "none", "no word that is known", "small"],
        ["manager", "plan at first", "Process.hierarchical", "large"],
        ["planner", "plan", "planning=True", "large"],
    ]
    assert all(isinstance(agent.llm, BaseLLM) and not isinstance(agent.llm, RoutedLLM) for agent in crew.agents)


def test_applied_each_agent_has_an_llm_of_its_own(assigned: Callable[..., Assignment]) -> None:
    crew = team(process=Process.hierarchical, manager_llm=IDLE, planning=True)
    config = PlanningConfig(llm=IDLE)
    crew.agents[0].planning_config = config
    assigned(crew, task={"trust": "approved"}).apply()
    given = [*(a.llm for a in crew.agents), crew.manager_llm, crew.planning_llm, config.llm]
    assert all(isinstance(llm, RoutedLLM) for llm in given)
    assert len({id(llm) for llm in given}) == len(given)
    assert crew.agents[0].llm.task == {"job": "analyze", "trust": "approved"}


def test_a_person_has_the_last_word(provider: LoopbackProvider, assigned: Callable[..., Assignment]) -> None:
    provider.on("small", Reply(text="Small."))
    provider.on("large", Reply(text="Large."))
    crew = team()
    assignment = assigned(crew).set("Eve", tier="large").set("Data Analyst", job="summarize")
    assert "set by hand" in str(assignment)
    assignment.apply()
    crew.kickoff(inputs={"what": "go"})
    assert [(row.role, row.tier, row.job) for row in assignment.costs().receipt.rows] == [
        ("Data Analyst", "small", "summarize"),
        ("Ada", "small", "write"),
        ("Bob", "small", "execute"),
        ("Eve", "large", None),
    ]


def test_a_slip_is_told_with_the_nearest_name(assigned: Callable[..., Assignment]) -> None:
    assignment = assigned(team())
    with pytest.raises(UnknownNameError, match="unknown agent 'Evi'; did you mean 'Eve'"):
        assignment.set("Evi", tier="large")
    with pytest.raises(UnknownNameError, match="did you mean 'large'"):
        assignment.set("Eve", tier="larg")


def test_costs_are_by_agent_and_by_task_for_each_kickoff(
    provider: LoopbackProvider, assigned: Callable[..., Assignment]
) -> None:
    provider.on("small", Reply(text="Small."))
    provider.on("large", Reply(text="Large."))
    crew = team()
    assignment = assigned(crew).apply()
    first = crew.kickoff(inputs={"what": "go"})
    second = crew.kickoff(inputs={"what": "go on"})
    each = crew.kickoff_for_each([{"what": "a"}, {"what": "b"}])
    costs = [assignment.costs(output) for output in (first, second, *each)]
    for cost in costs:
        assert list(cost.agents) == ["Data Analyst", "Ada", "Bob", "Eve"]
        assert list(cost.tasks) == ["data analyst", "ada", "bob", "eve"]
        assert [len(part.rows) for part in cost.agents.values()] == [1, 1, 1, 1]
    assert assignment.costs().receipt.rows == costs[1].receipt.rows
    together = assignment.costs(first, second, *each)
    spent = sum(c.billed_input * 2 + c.billed_output * 8 for c in provider.calls if c.model == "large")
    assert together.receipt.cost is not None
    assert float(together.receipt.cost) == pytest.approx(spent / 1_000_000)
    assert together.agents["Data Analyst"].cost == together.receipt.cost
    assert str(together).splitlines()[-1].split()[:2] == ["all", "16"]


def test_before_any_kickoff_there_is_no_bill(assigned: Callable[..., Assignment]) -> None:
    with pytest.raises(ConfigError, match="it came of no kickoff here"):
        assigned(team()).costs()


def test_a_manager_s_work_is_in_the_table_of_costs(
    provider: LoopbackProvider, assigned: Callable[..., Assignment]
) -> None:
    handed = {"task": "Say why", "context": "none", "coworker": "Data Analyst"}
    handing = Reply(tool_calls=[Call("delegate_work_to_coworker", handed)])
    provider.on("large", handing, Reply(text="Because."), Reply(text="It is so."))
    provider.on("small", Reply(text="I should think that it is so."))
    crew = team(process=Process.hierarchical, manager_llm=IDLE)
    crew.tasks = crew.tasks[:1]
    assignment = assigned(crew).apply()
    crew.kickoff(inputs={"what": "go"})
    costs = assignment.costs()
    assert {name: len(part.rows) for name, part in costs.agents.items()} == {"Crew Manager": 3, "Data Analyst": 1}
    assert {name: len(part.rows) for name, part in costs.tasks.items()} == {"data analyst": 4}
    # The small tier would have written the last word: it was stopped, and the large one wrote.
    assert [(r.tier, r.finish_reason) for r in costs.agents["Crew Manager"].rows][1:] == [
        ("small", "aborted"),
        ("large", "stop"),
    ]
