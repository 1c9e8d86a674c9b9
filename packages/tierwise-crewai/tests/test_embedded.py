"""Crews and flows on real small models, on this machine: what they say is theirs, what must hold is ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from crewai import LLM, Agent, BaseLLM, Crew, Process, Task
from crewai.flow.flow import Flow, listen, start
from crewai.tools import tool
from pydantic import BaseModel
from tierwise import Cascade, Receipt, Router
from tierwise.verifiers import free_verifier
from tierwise_crewai import RoutedLLM, assign_models, receipt_of
from tierwise_embedded import spawn

TINY, SMALL = "smollm2:135m", "qwen2.5-coder:0.5b"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with spawn([TINY, SMALL]) as server:
        yield server.url


@pytest.fixture
def models(url: str) -> dict[str, BaseLLM]:
    def made(name: str) -> Any:
        return LLM(model=f"ollama/{name}", base_url=url, temperature=0, max_tokens=48, max_retries=0)

    return {f"ollama:{name}": made(name) for name in (TINY, SMALL)}


@pytest.fixture
def router() -> Router:
    checks = Cascade(free_verifier(), on_unverified="accept")
    return Router.simple(small=f"ollama:{TINY}", large=f"ollama:{SMALL}", strategy=checks)


@pytest.fixture
def llm(router: Router, models: dict[str, BaseLLM]) -> RoutedLLM:
    return RoutedLLM(router, models=models)


class City(BaseModel):
    name: str
    country: str


@tool("weather", result_as_answer=True)
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


def writer(llm: Any, **fields: Any) -> Any:
    return Agent(role="Writer", goal="Answer briefly", backstory="Brief", llm=llm, max_iter=2, **fields)


def asked(agent: Any, text: str = "Name the capital of Norway.", **fields: Any) -> Task:
    return Task(name="ask", description=text, expected_output="One word", agent=agent, **fields)


def holds(receipt: Receipt) -> None:
    """Every call was free, and every answer has the counts of the server."""
    answers = [row for row in receipt.rows if row.error_type is None]
    assert answers
    assert receipt.cost == 0
    for row in answers:
        assert row.usage is not None
        assert not row.usage.estimated or row.finish_reason == "aborted"
        assert row.usage.input_tokens


def test_a_crew_answers_and_is_counted(router: Router, llm: RoutedLLM) -> None:
    agent = writer(llm)
    crew: Any = Crew(agents=[agent], tasks=[asked(agent)])
    output = crew.kickoff()
    assert output.raw
    receipt = receipt_of(router, output)
    holds(receipt)
    [row] = receipt.rows
    assert row.usage is not None
    assert (row.tier, row.role, row.node) == ("small", "Writer", "ask")
    assert output.token_usage.prompt_tokens == row.usage.input_tokens


def test_a_tool_is_called_by_a_real_model(router: Router, llm: RoutedLLM) -> None:
    llm.task = {"min_tier": "large"}
    agent = writer(llm, tools=[weather])
    crew: Any = Crew(agents=[agent], tasks=[asked(agent, "Call the tool weather for the city Oslo.")])
    output = crew.kickoff()
    assert output.raw == "Rain in Oslo"
    [row] = receipt_of(router, output).rows
    assert row.tool_calls == 1


def test_a_typed_output_is_typed(router: Router, llm: RoutedLLM) -> None:
    agent = writer(llm)
    crew: Any = Crew(agents=[agent], tasks=[asked(agent, "Oslo is in Norway.", output_pydantic=City)])
    output = crew.kickoff()
    assert isinstance(output.pydantic, City)
    holds(receipt_of(router, output))


async def test_a_stream_is_shown_and_stays_whole(router: Router, llm: RoutedLLM) -> None:
    llm.task = {"min_tier": "large"}
    agent = writer(llm)
    crew: Any = Crew(agents=[agent], tasks=[asked(agent)], stream=True)
    streaming = await crew.akickoff()
    chunks = [chunk.content async for chunk in streaming]
    assert "".join(chunks).strip() == streaming.result.raw.strip()
    holds(receipt_of(router, streaming.result))


def test_a_manager_s_crew_comes_to_an_end(router: Router, models: dict[str, BaseLLM]) -> None:
    agent = writer(models[f"ollama:{TINY}"])
    crew: Any = Crew(agents=[agent], tasks=[asked(agent)], process=Process.hierarchical, manager_llm=agent.llm)
    assignment = assign_models(crew, router, models=models).apply()
    output = crew.kickoff()
    costs = assignment.costs(output)
    assert output.raw
    assert "Crew Manager" in costs.agents
    assert costs.receipt.rows[0].tier == "large"
    holds(costs.receipt)


def test_a_flow_runs_a_crew_for_each_input(router: Router, llm: RoutedLLM) -> None:
    agent = writer(llm)
    crew: Any = Crew(agents=[agent], tasks=[asked(agent, "Name the capital of {country}.")])

    class Capitals(Flow[dict[str, Any]]):
        @start()
        def begin(self) -> Any:
            return llm.call("Name a country. One word.")

        @listen(begin)
        def each(self, answer: Any) -> Any:
            return crew.kickoff_for_each([{"country": "Norway"}, {"country": "France"}])

    flow = Capitals()
    flow.kickoff()
    receipt = receipt_of(router, flow)
    assert [row.node for row in receipt.rows] == [None, "ask", "ask"]
    assert len({row.session for row in receipt.rows}) == 3
    holds(receipt)
