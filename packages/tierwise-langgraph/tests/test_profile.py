# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false
"""What all tiers share, and how an agent reads it."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr
from tierwise import Fleet, ModelSpec, Router, Tier
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_langgraph import RoutedChatModel


def profile(small: Any, large: Any, **spec: Any) -> Any:
    fleet = Fleet([Tier("small", ModelSpec("ollama:small", **spec)), Tier("large", "openai:large")])
    models: dict[str, BaseChatModel] = {
        "small": ChatOllama(model="small", profile=small),
        "large": ChatOpenAI(model="large", api_key=SecretStr("key"), profile=large),
    }
    return RoutedChatModel(Router(fleet), models=models).profile


def test_capabilities_are_those_of_all_and_limits_the_lowest() -> None:
    small = {"tool_calling": True, "structured_output": False, "max_input_tokens": 8_000, "name": "Small"}
    large = {"tool_calling": True, "structured_output": True, "max_input_tokens": 400_000, "name": "Large"}
    assert profile(small, large) == {"tool_calling": True, "structured_output": False, "max_input_tokens": 8_000}


def test_what_one_model_does_not_say_is_not_promised() -> None:
    assert profile(None, {"structured_output": True, "max_input_tokens": 400_000}) == {}


def test_what_the_fleet_says_counts() -> None:
    shared = profile(None, {"tool_calling": True, "max_input_tokens": 400_000}, window=4_096, capabilities={"tools"})
    assert shared == {"tool_calling": True, "max_input_tokens": 4_096}
    assert profile(None, {"tool_calling": True}, capabilities=set()) == {"tool_calling": False}


def test_lists_hold_what_is_common() -> None:
    levels = "reasoning_effort_levels"
    assert profile({levels: ["low", "high"]}, {levels: ["none", "low"]}) == {levels: ["low"]}


class Person(BaseModel):
    """A person."""

    name: str


@pytest.mark.parametrize("native", [True, False])
def test_an_agent_asks_for_typed_output_as_all_tiers_can_give_it(provider: LoopbackProvider, native: bool) -> None:
    provider.on("small", Reply(json={"name": "Ada"}))
    models: dict[str, BaseChatModel] = {
        "small": ChatOllama(model="small", base_url=provider.url, profile={"structured_output": native}),
        "large": ChatOpenAI(
            model="large",
            base_url=provider.openai_url,
            api_key=SecretStr("key"),
            max_retries=0,
            profile={"structured_output": True},
        ),
    }
    router = Router.simple(small="ollama:small", large="openai:large")
    model = RoutedChatModel(router, models=models)
    if not native:
        provider.on("small", Reply(json={"name": "Person", "arguments": {"name": "Ada"}}))
    agent: Any = create_agent(model, [], response_format=Person)
    assert agent.invoke({"messages": [("user", "Who?")]})["structured_response"] == Person(name="Ada")
    [call] = provider.calls
    assert (call.schema is not None, bool(call.tools)) == (native, not native)
