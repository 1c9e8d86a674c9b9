"""What all parts of the suite for adapters stand on: the provider, the router, and the ways to ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import pytest

from tierwise.attempt import Outcome
from tierwise.fleet.fleet import Fleet, Tier
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import Price
from tierwise.messages import Tool
from tierwise.policies import PolicyLike
from tierwise.router import Router
from tierwise.strategies import Cascade, Single, Strategy
from tierwise.testing.conformance.harness import AdapterHarness, Asked
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Request
from tierwise.verifiers import free_verifier

__all__ = ["DRAFT", "HELD_OR_LIVE", "PAY", "WEATHER", "Suite", "city", "prompt_of", "router", "short", "typed"]

WEATHER = Tool(
    "weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
PAY = Tool("pay", "Pays an amount.", {"type": "object", "properties": {"usd": {"type": "number"}}, "required": ["usd"]})
DRAFT = "A draft that goes on for far too long to be of any use to anyone."
_SHORT = 40


HELD_OR_LIVE = pytest.mark.parametrize("strategy", [None, Single()], ids=["held", "live"])
"""Judged before it is shown, and shown as it comes."""


def short(outcome: Outcome) -> bool | None:
    """Rejects drafts that are long: the suite's way to send an answer up a tier."""
    return None if outcome.tool_calls else len(outcome.text) < _SHORT


def router(strategy: Strategy | None = None, policy: PolicyLike | None = None) -> Router:
    """Two tiers: a small local model, and a large one behind another dialect."""
    small = ModelSpec("ollama:small", trust="local", price=Price(0, 0))
    fleet = Fleet([Tier("small", small), Tier("large", ModelSpec("openai:large", price=Price(2, 8)))])
    return Router(fleet, policy=policy, strategy=strategy or Cascade(free_verifier() & short))


class Suite:
    """Sets up what each test needs."""

    harness: AdapterHarness

    @pytest.fixture
    def provider(self) -> Iterator[LoopbackProvider]:
        """A provider on this machine that misbehaves as scripted."""
        with LoopbackProvider() as running:
            running.on("small", Reply(text="Oslo is it."))
            running.on("large", Reply(text="Large says Oslo."))
            yield running

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Asks in each of the ways that the framework has."""
        if "ask" in metafunc.fixturenames:
            metafunc.parametrize("ask", self.harness.ways, indirect=True)

    @pytest.fixture
    def ask(self, request: pytest.FixtureRequest) -> Asked:
        """Asks in one of the ways."""
        return Asked(self.harness, request.param)


def typed(provider: LoopbackProvider, model: str, value: Mapping[str, Any]) -> None:
    """Answers as it is asked for: by the tool that stands for the type, or as JSON."""

    def reply(request: Request) -> Reply:
        if request.tools and request.schema is None:
            return Reply(tool_calls=[Call(request.tools[0]["function"]["name"], value)])
        return Reply(json=dict(value))

    provider.on(model, reply)


def prompt_of(request: Request) -> str:
    """The text of the last message."""
    content = request.messages[-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


@lru_cache(maxsize=1)
def city() -> type[Any]:
    """The type that typed answers have. pydantic is imported where it is needed: backends' suites do not."""
    from pydantic import create_model

    return create_model("City", name=(str, ...), people=(int, ...))
