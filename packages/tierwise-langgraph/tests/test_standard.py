"""LangChain's own standard tests of a chat model: the unit tests, and the integration tests over loopback."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from pydantic import SecretStr
from tierwise import Always, Fleet, ModelSpec, Router, Single, Tier
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Request, Usage
from tierwise_langgraph import RoutedChatModel


class Routed(RoutedChatModel):
    """Made of keywords alone, as the standard tests make models."""

    def __init__(self, *, url: str = "http://127.0.0.1:9", start: str = "small", **fields: Any) -> None:
        fleet = Fleet([Tier("small", "ollama:small"), Tier("large", ModelSpec("openai:large"))])
        models: dict[str, BaseChatModel] = {
            "small": ChatOllama(model="small", base_url=url),
            "large": ChatOpenAI(
                model="large",
                base_url=f"{url}/v1",
                api_key=SecretStr("key"),
                max_retries=0,
                stream_usage=True,
                # With such a timeout the client is not shared with earlier tests, whose event loops are closed.
                timeout=httpx2.Timeout(60),
            ),
        }
        super().__init__(Router(fleet, policy=Always(start), strategy=Single()), models=models, **fields)


class TestUnits(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Routed


def sensible(request: Request) -> Reply:
    """What a fair model answers to the questions of the standard tests."""
    if request.schema == {"type": "object"}:  # plain JSON mode: the keys are in the prompt
        return Reply(json={"setup": "Why?", "punchline": "Because."})
    if request.schema is not None:
        return Reply(json=example(request.schema))
    if request.tools and not any(m["role"] == "tool" for m in request.messages):
        function = request.tools[0]["function"]
        arguments = example(function["parameters"])
        if "customer_name" in arguments:
            arguments["customer_name"] = request.messages[-1]["content"].split(":")[-1].strip()
        return Reply(tool_calls=[Call(function["name"], arguments)])
    count = Usage(input=40)
    if "stop" in request.body or "stop" in request.options:
        return Reply(text="hello ", usage=count)
    return Reply(text="Hello, this is a short answer in several words.", usage=count)


def example(schema: dict[str, Any]) -> Any:
    """A value that fits."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    match schema.get("type"):
        case "object":
            return {name: example(part) for name, part in schema.get("properties", {}).items()}
        case "array":
            return [example(schema["items"])]
        case "integer" | "number":
            return 3
        case "boolean":
            return True
        case _:
            return "green_magic"


@pytest.fixture
def fair() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        running.on("small", sensible)
        running.on("large", sensible)
        yield running


class Integration(ChatModelIntegrationTests):
    start = "small"

    @pytest.fixture(autouse=True)
    def at(self, fair: LoopbackProvider) -> None:
        self.url = fair.url

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return Routed

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"url": self.url, "start": self.start}

    @property
    def model_override_value(self) -> str:
        return "large" if self.start == "small" else "small"

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        # Ollama has none.
        return self.start == "large"


class TestSmall(Integration):
    start = "small"


class TestLarge(Integration):
    start = "large"
