# LangGraph's generics are not known to type checkers.
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false
"""Traps that other routers fell into, each through a real agent or graph."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr
from tierwise import Cascade, Fleet, Outcome, Router, Tier
from tierwise import Reply as Answer
from tierwise.errors import AllModelsFailedError
from tierwise.policies import Complexity
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise.verifiers import free_verifier
from tierwise_langgraph import RoutedChatModel, TierwiseMiddleware, receipt_of

Make = Callable[..., RoutedChatModel]

DRAFT = "This draft is far too long to be accepted"
ASK: Any = {"messages": [("user", "The weather in Oslo?")]}


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


class Report(BaseModel):
    """The weather."""

    city: str


def short(outcome: Outcome) -> bool:
    return len(outcome.text) < 40


def not_of_the_small(outcome: Outcome) -> bool:
    return "small" not in outcome.text


def agent(model: RoutedChatModel, **options: Any) -> Any:
    return create_agent(model, [weather], **options)


def test_a_tool_call_and_a_typed_answer_of_the_small_tier_cost_one_call_each(
    provider: LoopbackProvider, routed: Make
) -> None:
    report = Call("Report", {"city": "Oslo"})
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(tool_calls=[report]))
    provider.on("large", Reply(text="Never asked."))
    state = agent(routed(policy=None), response_format=Report).invoke(ASK)
    assert state["structured_response"] == Report(city="Oslo")
    assert [c.model for c in provider.calls] == ["small", "small"]


async def test_a_rejected_draft_is_not_streamed_before_the_answer(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    parts = [p async for p in agent(routed()).astream(ASK, stream_mode="messages")]
    assert "".join(m.text for m, _ in parts if isinstance(m, AIMessageChunk)) == "The large answer"


async def test_a_real_agent_streams(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))
    provider.on("large", Reply(text="It rains in Oslo."))
    # After the tool's result the small tier may act, and the large one writes.
    parts = [p async for p in agent(routed(policy=None)).astream(ASK, stream_mode="messages")]
    assert [m.text for m, _ in parts if isinstance(m, AIMessageChunk) and m.text] == ["It", " rains", " in", " Oslo."]


def test_the_routed_model_has_structured_output(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json={"city": "Oslo"}))
    assert routed().with_structured_output(Report).invoke("Where?") == Report(city="Oslo")


def test_a_long_system_prompt_does_not_make_a_greeting_hard(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Hello."))
    provider.on("large", Reply(text="Never asked."))
    prompt = "You are an expert architect. Analyse, prove and design distributed systems step by step. " * 40
    model = routed(policy=Complexity())
    hi: Any = {"messages": [("user", "hi")]}
    create_agent(model, [], system_prompt=prompt).invoke(hi)
    assert [c.model for c in provider.calls] == ["small"]


def test_two_refused_keys_are_no_empty_success(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=401))
    provider.on("large", Reply(status=401))
    with pytest.raises(AllModelsFailedError, match=r"(?s)small.*large") as caught:
        agent(routed()).invoke(ASK)
    assert [row.cost for row in caught.value.attempts] == [0, 0]


def test_a_local_model_is_free_and_an_unknown_price_is_no_price(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("unheard-of", Reply(text="Rain."))
    models: dict[str, BaseChatModel] = {
        "small": ChatOllama(model="small", base_url=provider.url),
        "large": ChatOpenAI(model="unheard-of", base_url=provider.openai_url, api_key=SecretStr("key"), max_retries=0),
    }
    router = Router.simple(small="ollama:small", large="openai:unheard-of", strategy=Cascade(short))
    middleware = TierwiseMiddleware(router, models=models)
    state: Any = create_agent(models["small"], [], middleware=[middleware]).invoke(ASK)
    receipt = receipt_of(router, state)
    assert [row.cost for row in receipt.rows] == [Decimal(0), None]
    assert state["tierwise"]["cost"] is receipt.cost is None


def test_a_rate_limit_goes_up_at_once(provider: LoopbackProvider, routed: Make) -> None:
    # A wait of that length would not end in the time of any test.
    provider.on("small", Reply(status=429, retry_after=5_000))
    provider.on("large", Reply(text="Rain."))
    assert agent(routed()).invoke(ASK)["messages"][-1].text == "Rain."
    assert [c.model for c in provider.calls] == ["small", "large"]


def test_tokens_are_the_provider_s_counts(provider: LoopbackProvider, routed: Make, replies: list[Answer]) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="Rain."))
    handler: Any = UsageMetadataCallbackHandler()
    state = agent(routed()).invoke(ASK, {"callbacks": [handler]})
    small, large = provider.calls
    # The framework reports the accepted attempt, the receipt all of them.
    accepted = {"input_tokens": large.billed_input, "output_tokens": large.billed_output}
    assert {k: state["messages"][-1].usage_metadata[k] for k in accepted} == accepted
    assert {k: handler.usage_metadata["large"][k] for k in accepted} == accepted
    counted = [(r.usage.input_tokens, r.usage.output_tokens) for r in replies[0].attempts if r.usage]
    assert counted == [(c.billed_input, c.billed_output) for c in (small, large)]


async def test_a_stream_falls_back_on_a_bad_answer_too(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("wether", {"city": "Oslo"})]))
    provider.on("large", Reply(text="Rain."))
    parts = [p async for p in agent(routed()).astream(ASK, stream_mode="messages")]
    chunks = [m for m, _ in parts if isinstance(m, AIMessageChunk)]
    assert "".join(m.text for m in chunks) == "Rain."
    assert not any(m.tool_call_chunks for m in chunks)


def test_every_tier_of_the_list_is_used(provider: LoopbackProvider) -> None:
    fleet = Fleet([Tier(name, f"ollama:{name}") for name in ("small", "medium", "large")])
    for name in fleet.names:
        provider.on(name, Reply(text=f"{name} says no."))
    models: dict[str, BaseChatModel] = {n: ChatOllama(model=n, base_url=provider.url) for n in fleet.names}
    model = RoutedChatModel(Router(fleet, strategy=Cascade(free_verifier() & not_of_the_small)), models=models)
    message: AIMessage = agent(model).invoke(ASK)["messages"][-1]
    assert message.text == "medium says no."
    assert [c.model for c in provider.calls] == ["small", "medium"]
    assert message.response_metadata["tierwise"]["tier"] == "medium"
    assert model.invoke("Why?", model="large").response_metadata["tierwise"]["tier"] == "large"
