"""Real agents on real small models, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, NativeOutput
from pydantic_ai.models import Model
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.settings import ModelSettings
from tierwise import Always, Cascade, Router
from tierwise.verifiers import free_verifier
from tierwise_embedded import spawn
from tierwise_pydantic_ai import RoutedModel, RoutingCapability, receipt_of

TINY, SMALL = "smollm2:135m", "qwen2.5-coder:0.5b"
SETTINGS = ModelSettings(temperature=0.0, seed=1, max_tokens=48)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with spawn([TINY, SMALL]) as server:
        yield f"{server.url}/v1"


@pytest.fixture
def models(url: str) -> dict[str, Model]:
    provider = OllamaProvider(base_url=url)
    return {"small": OllamaModel(TINY, provider=provider), "large": OllamaModel(SMALL, provider=provider)}


@pytest.fixture
def router() -> Router:
    checks = Cascade(free_verifier(), on_unverified="accept")
    return Router.simple(small=f"ollama:{TINY}", large=f"ollama:{SMALL}", strategy=checks, policy=Always("small"))


class City(BaseModel):
    """A city."""

    name: str
    country: str


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_typed_answer_of_the_tiny_model_costs_one_call(
    router: Router, models: dict[str, Model], streamed: bool
) -> None:
    model = RoutedModel(router, models=models)
    agent = Agent(model, output_type=NativeOutput(City), model_settings=SETTINGS)
    prompt = "Oslo is the capital of Norway. Give its name and its country."
    if streamed:
        async with agent.run_stream(prompt) as result:
            assert isinstance(await result.get_output(), City)
    else:
        result = await agent.run(prompt)
        assert isinstance(result.output, City)
    receipt = receipt_of(router, result)
    assert [(r.tier, r.verdict) for r in receipt.rows] == [("small", "accept")]
    assert receipt.cost == 0
    assert result.response.usage.output_tokens == sum(r.usage.output_tokens or 0 for r in receipt.rows if r.usage)


async def test_a_tool_call_waits_for_approval_and_its_result_is_answered(
    router: Router, models: dict[str, Model]
) -> None:
    # The tiny model cannot call tools: its step goes up, or stands if it happens to call one as it should.
    model = RoutedModel(router, models=models)
    must_call = RoutedModel(router, models=models, task={"tools_required": True})
    agent: Agent[None, Any] = Agent(model, output_type=[str, DeferredToolRequests], model_settings=SETTINGS)

    def weather(city: str) -> str:
        """The weather of a city."""
        return f"Rain in {city}"

    agent.tool_plain(requires_approval=True)(weather)
    first = await agent.run("What is the weather in Oslo? Call the tool.", model=must_call)
    assert isinstance(first.output, DeferredToolRequests)
    [call] = first.output.approvals
    assert (call.tool_name, call.args_as_dict()) == ("weather", {"city": "Oslo"})
    approved = DeferredToolResults(approvals={call.tool_call_id: True})
    history = first.all_messages()
    async with agent.iter(message_history=history, deferred_tool_results=approved) as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                assert "Rain in Oslo" in repr(node.request.parts)
                break
    assert {r.session for r in receipt_of(router, first).rows} == {first.conversation_id}


async def test_a_live_answer_comes_in_pieces(router: Router, models: dict[str, Model]) -> None:
    agent = Agent(RoutedModel(router, models=models, task={"min_tier": "large"}), model_settings=SETTINGS)
    async with agent.run_stream("Name three colours, in one line.") as result:
        pieces = [text async for text in result.stream_text(delta=True, debounce_by=None)]
    assert len(pieces) > 2
    assert result.response.text == "".join(pieces)
    assert result.response.model_name == SMALL


async def test_a_step_s_model_is_selected_without_wrapping(router: Router, models: dict[str, Model]) -> None:
    up = Router(router.fleet, policy=Always("large"))
    agent = Agent(capabilities=[RoutingCapability(up, models)], model_settings=SETTINGS)
    assert (await agent.run("Name a colour.")).response.model_name == SMALL
