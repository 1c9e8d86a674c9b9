"""A model for each step, selected by policy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.capabilities import ModelFallback
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import Model
from tierwise import Decision, ModelSpec, Router, SessionAffinity, Task
from tierwise.errors import ConfigError, TrustError, UnknownNameError
from tierwise.policies import ActStep, AfterError, Classifier, PlanStep, Rule
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_pydantic_ai import RoutingCapability

Make = Callable[..., RoutingCapability[object]]


@pytest.fixture
def decisions() -> list[Decision]:
    return []


@pytest.fixture
def routing(models: dict[str, Model], decisions: list[Decision]) -> Make:
    def make(policy: Any = None, *, small: str = "ollama:small", **task: Any) -> RoutingCapability[object]:
        router = Router.simple(small=ModelSpec(small), large="openai:large", policy=policy)
        return RoutingCapability(router, models, task=task, on_decision=decisions.append)

    return make


def steps_of(result: Any) -> list[str | None]:
    return [m.model_name for m in result.all_messages() if isinstance(m, ModelResponse)]


def first_then(task: Task) -> str:
    """The first step goes to the large tier, those after a tool's result to the small one."""
    return "small" if task.last.role == "tool" else "large"


@pytest.mark.parametrize("streamed", [False, True])
async def test_each_step_has_a_model_of_its_own(provider: LoopbackProvider, routing: Make, streamed: bool) -> None:
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    provider.on("small", Reply(text="Rain."))
    agent: Agent[object, str] = Agent(capabilities=[routing(first_then)])

    def weather(city: str) -> str:
        return f"Rain in {city}"

    agent.tool_plain(weather)
    if streamed:
        async with agent.run_stream("The weather in Oslo?") as result:
            assert "".join([t async for t in result.stream_text(delta=True, debounce_by=None)]) == "Rain."
    else:
        result = await agent.run("The weather in Oslo?")
    assert steps_of(result) == ["large", "small"]


async def test_a_failed_step_goes_up_and_a_session_stays(
    provider: LoopbackProvider, routing: Make, decisions: list[Decision]
) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Olso"})]))
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))
    agent: Agent[object, str] = Agent(capabilities=[routing(SessionAffinity(AfterError()))])

    def weather(city: str) -> str:
        if city != "Oslo":
            raise ModelRetry(f"there is no {city}")
        return "Rain"

    agent.tool_plain(weather)
    assert steps_of(await agent.run("The weather?")) == ["small", "large", "large"]
    assert [d.rule for d in decisions] == ["default", "after error", "session"]


async def test_the_agent_s_name_is_its_role_and_a_tier_that_may_only_act_is_left_out(
    provider: LoopbackProvider, routing: Make
) -> None:
    provider.on("small", Reply(text="Small."))
    provider.on("large", Reply(text="Large."))
    policy = Rule(role="planner", tier="large") | PlanStep() | ActStep()
    assert (await Agent(name="planner", capabilities=[routing(policy)]).run("Why?")).output == "Large."
    assert (await Agent(name="worker", capabilities=[routing(policy)]).run("Why?")).output == "Small."
    assert (await Agent(capabilities=[routing(policy, job="plan")]).run("Why?")).output == "Large."


async def test_a_task_s_trust_bounds_the_selection(provider: LoopbackProvider, routing: Make) -> None:
    provider.on("small", Reply(text="Small."))
    assert (await Agent(capabilities=[routing(trust="local")]).run("Why?")).output == "Small."
    with pytest.raises(TrustError):
        await Agent(capabilities=[routing(trust="local", min_tier="large")]).run("Why?")


async def test_a_policy_that_has_to_ask_a_model_is_refused(provider: LoopbackProvider, routing: Make) -> None:
    with pytest.raises(ConfigError, match="selected here without any call"):
        await Agent(capabilities=[routing(Classifier("small"))]).run("Why?")
    assert provider.count() == 0


async def test_a_model_may_be_asked_for_by_its_tier(provider: LoopbackProvider, routing: Make) -> None:
    provider.on("large", Reply(text="Large."))
    agent = Agent(capabilities=[routing()])
    assert (await agent.run("Why?", model="large")).output == "Large."
    assert (await agent.run("Why?", model="openai:large")).output == "Large."
    assert (await agent.run("Why?", model="test")).output == "success (no tool calls)"


async def test_fallbacks_are_pydantic_ai_s_own(
    provider: LoopbackProvider, routing: Make, models: dict[str, Model]
) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(text="Large."))
    agent = Agent(capabilities=[routing(), ModelFallback(models["large"])])
    result = await agent.run("Why?", model_settings={"max_retries": 0})
    assert result.output == "Large."
    assert [a.model_name for a in result.response.failed_attempts or []] == ["small"]


async def test_it_can_be_made_from_an_agent_s_spec(
    provider: LoopbackProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.on("small", Reply(text="Small."))
    monkeypatch.setenv("OLLAMA_BASE_URL", provider.openai_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    config = tmp_path / "tierwise.toml"
    config.write_text('[tiers]\nsmall = "ollama:small"\nlarge = "openai-chat:large"\n')
    spec = {"capabilities": [{"RoutingCapability": str(config)}]}
    agent = Agent.from_spec(spec, custom_capability_types=[RoutingCapability])
    assert (await agent.run("Why?")).output == "Small."


def test_a_name_that_stands_for_nothing_is_refused(models: dict[str, Model]) -> None:
    router = Router.simple(small="ollama:small", large="openai:large")
    with pytest.raises(UnknownNameError, match="did you mean 'small'"):
        RoutingCapability(router, {"smal": models["small"], "large": models["large"]})
