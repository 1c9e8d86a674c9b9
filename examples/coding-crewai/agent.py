"""A coding agent: a crew that plans, looks and patches. The test run decides whose patch is taken.

    python agent.py --bug 01

What to change first: the agents and tasks of `crew`; which tier does what stands in the policy of
`tierwise_examples.coding`.
"""

from __future__ import annotations

from typing import Any

import tierwise_examples.quiet_crewai as _  # before CrewAI, which reads its settings while it is imported
from crewai import Agent, Crew, Task
from crewai.tools import tool
from tierwise_crewai import RoutedLLM
from tierwise_examples.coding import Plan, Repair, main


def crew(repair: Repair) -> Crew:
    """The agents for one bug, and their tasks."""
    tools: Any = [tool(f.__name__, result_as_answer=True)(f) for f in repair.tools]
    planner = agent(repair, "plan", role="Planner", goal="Find the bug", backstory="You are brief")
    reader = agent(repair, "look", role="Reader", goal="Read the code", backstory="You call tools", tools=tools)
    # Small models copy the function as it is, unless they are asked what was wrong with it.
    programmer = agent(repair, "patch", role="Programmer", goal="Mend bugs", backstory="You explain what you change")
    plan: Any = Task(
        name="plan",
        description=repair.plan_prompt(),
        expected_output="File, function and cause",
        output_pydantic=Plan,
        agent=planner,
    )
    look = Task(
        name="look",
        description="Look at the code",
        expected_output="One call of a tool",  # whose result is the answer: no model has to say that it was read
        agent=reader,
        context=[],
    )
    patch = Task(
        name="patch",
        description="Mend the function",
        expected_output="The corrected function, and what was wrong",
        agent=programmer,
        context=[],
    )

    # What a task has to say is known when the one before it has ended.
    def planned(output: Any) -> None:
        look.description = repair.look_prompt(output.pydantic)

    def looked(output: Any) -> None:
        patch.description = repair.patch_prompt(plan.output.pydantic, output.raw)

    plan.callback, look.callback = planned, looked
    return Crew(agents=[planner, reader, programmer], tasks=[plan, look, patch])


def agent(repair: Repair, job: str, **fields: Any) -> Agent:
    """An agent whose calls are routed by its job. What fails goes up a tier, and is not tried again by the agent."""
    llm = RoutedLLM(repair.router, task=repair.task(job))
    return Agent(llm=llm, max_iter=1, max_retry_limit=0, **fields)


def fix(repair: Repair) -> None:
    """Works on one bug, and hands the patch to the repair."""
    team: Any = crew(repair)
    repair.take(team.kickoff().raw)


if __name__ == "__main__":
    main(fix)
