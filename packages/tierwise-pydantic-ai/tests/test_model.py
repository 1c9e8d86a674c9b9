"""The routed model among the other things that Pydantic AI takes for a model, and that it does with one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic_ai import Agent, BinaryImage, DeferredToolRequests, DeferredToolResults, ModelRetry, UsageLimits
from pydantic_ai.exceptions import ModelRequestTimeout, UsageLimitExceeded, UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolReturnPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.instrumented import InstrumentationSettings, InstrumentedModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage
from tierwise import Reply as Answer
from tierwise import Router, SessionAffinity, Single
from tierwise.errors import AllModelsFailedError, TrustError, UnknownNameError
from tierwise.policies import AfterError
from tierwise.telemetry import Telemetry
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_pydantic_ai import RoutedModel, receipt_of

Make = Callable[..., RoutedModel]

DRAFT = "This draft is far too long to be accepted"


def escalating(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))


def simple(**models: Model | str) -> RoutedModel:
    return RoutedModel(Router.simple(small="test:small", large="test:large", strategy=Single()), models=models)


async def text_of(agent: Agent[Any, Any], prompt: str = "Why?") -> str:
    async with agent.run_stream(prompt) as result:
        return "".join([text async for text in result.stream_text(delta=True, debounce_by=None)])


@pytest.mark.parametrize("streamed", [False, True])
async def test_inside_a_fallback_model(provider: LoopbackProvider, routed: Make, streamed: bool) -> None:
    escalating(provider)
    agent = Agent(FallbackModel(routed(), TestModel(), fallback_on=AllModelsFailedError))
    output = await text_of(agent) if streamed else (await agent.run("Why?")).output
    assert output == "The large answer"
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(status=500))
    output = await text_of(agent) if streamed else (await agent.run("Why?")).output
    assert output == "success (no tool calls)"


async def test_behind_a_fallback_model_its_attempts_come_first(
    provider: LoopbackProvider, routed: Make, models: dict[str, Model]
) -> None:
    escalating(provider)
    provider.on("broken", Reply(status=500))
    openai = models["large"].provider
    assert openai is not None
    agent = Agent(FallbackModel(OpenAIChatModel("broken", provider=openai), routed()))
    async with agent.run_stream("Why?") as result:
        await result.get_output()
    assert [a.model_name for a in result.response.failed_attempts or []] == ["broken", "small"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_around_a_fallback_model(provider: LoopbackProvider, models: dict[str, Model], streamed: bool) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(text="The large answer"))
    agent = Agent(simple(small=FallbackModel(models["small"], models["large"]), large=TestModel()))
    output = await text_of(agent) if streamed else (await agent.run("Why?")).output
    assert output == "The large answer"
    assert [c.model for c in provider.calls] == ["small", "large"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_around_and_inside_a_wrapper(
    provider: LoopbackProvider, models: dict[str, Model], streamed: bool
) -> None:
    provider.on("small", Reply(text="Because."))
    agent = Agent(WrapperModel(simple(small=WrapperModel(models["small"]), large=TestModel())))
    output = await text_of(agent) if streamed else (await agent.run("Why?")).output
    assert output == "Because."


async def test_it_may_stand_in_for_an_agent_s_model(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Because."))
    agent = Agent(TestModel())
    with agent.override(model=routed()):
        assert (await agent.run("Why?")).output == "Because."
    assert (await agent.run("Why?", model=routed())).output == "Because."
    assert provider.count() == 2


async def test_models_may_be_named_as_pydantic_ai_names_them(
    provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.on("small", Reply(text="Because."))
    monkeypatch.setenv("OLLAMA_BASE_URL", provider.openai_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    router = Router.simple(small="local:tiny", large="openai-chat:large", strategy=Single())
    model = RoutedModel(router, models={"small": "ollama:small"})
    assert model.model_id == "tierwise:ollama:small,openai:large"
    assert (await Agent(model).run("Why?")).output == "Because."


async def test_usage_of_the_response_is_the_accepted_call_s_and_that_of_the_run_counts_drafts_too(
    provider: LoopbackProvider, routed: Make
) -> None:
    escalating(provider)
    model = routed()
    result = await Agent(model).run("Why?")
    draft, answer = provider.calls
    usage = result.response.usage
    assert (usage.input_tokens, usage.output_tokens) == (answer.billed_input, answer.billed_output)
    assert result.usage.requests == 1
    assert result.usage.output_tokens == draft.billed_output + answer.billed_output
    receipt = receipt_of(model._router, result)
    assert [r.usage.output_tokens for r in receipt.rows if r.usage] == [draft.billed_output, answer.billed_output]
    assert result.usage.cost == usage.cost == receipt.cost


async def test_the_same_is_true_of_a_stream(provider: LoopbackProvider, routed: Make) -> None:
    escalating(provider)
    async with Agent(routed()).run_stream_events("Why?") as events:
        [*_, last] = [event async for event in events]
    assert last.event_kind == "agent_run_result"
    draft, answer = provider.calls
    assert last.result.response.usage.output_tokens == answer.billed_output
    assert last.result.usage.output_tokens == draft.billed_output + answer.billed_output


async def test_usage_limits_hold(provider: LoopbackProvider, routed: Make) -> None:
    escalating(provider)
    agent = Agent(routed())
    assert (await agent.run("Why?", usage_limits=UsageLimits(request_limit=1))).output == "The large answer"
    with pytest.raises(UsageLimitExceeded):
        await agent.run("Why?", usage_limits=UsageLimits(cost_limit=Decimal("0.000001")))


class Counting(TestModel):
    async def count_tokens(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> RequestUsage:
        return RequestUsage(input_tokens=1_000)


async def test_tokens_are_counted_by_the_model_that_tries_first() -> None:
    agent = Agent(simple(small=Counting(), large=TestModel()))
    limits = UsageLimits(input_tokens_limit=500, count_tokens_before_request=True)
    with pytest.raises(UsageLimitExceeded):
        await agent.run("Why?", usage_limits=limits)
    agent = Agent(simple(small=TestModel(), large=Counting()))
    with pytest.raises(NotImplementedError):
        await agent.run("Why?", usage_limits=limits)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_trace_names_the_model_that_answered_and_counts_once(
    provider: LoopbackProvider, routed: Make, streamed: bool
) -> None:
    escalating(provider)
    exporter = InMemorySpanExporter()
    traced = TracerProvider()
    traced.add_span_processor(SimpleSpanProcessor(exporter))
    agent = Agent(InstrumentedModel(routed(), InstrumentationSettings(tracer_provider=traced)))
    await (text_of(agent) if streamed else agent.run("Why?"))
    [chat] = [dict(s.attributes or {}) for s in exporter.get_finished_spans() if s.name.startswith("chat")]
    assert chat["gen_ai.response.model"] == "large"
    assert chat["gen_ai.request.model"] == "tierwise:small,large"
    assert chat["gen_ai.usage.output_tokens"] == provider.calls[1].billed_output


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_spans_of_a_router_lie_beneath_the_agent_s(
    provider: LoopbackProvider, models: dict[str, Model], streamed: bool
) -> None:
    provider.on("small", Reply(text="Because."))
    exporter = InMemorySpanExporter()
    traced = TracerProvider()
    traced.add_span_processor(SimpleSpanProcessor(exporter))
    router = Router.simple(
        small="ollama:small", large="openai:large", strategy=Single(), telemetry=Telemetry(tracer_provider=traced)
    )
    settings = InstrumentationSettings(tracer_provider=traced)
    agent = Agent(InstrumentedModel(RoutedModel(router, models=models), settings))
    await (text_of(agent) if streamed else agent.run("Why?"))
    call, run, chat, *_ = exporter.get_finished_spans()
    assert chat.name.startswith("chat tierwise:")
    assert (call.parent, run.parent) == (run.context, chat.context)
    said = dict(call.attributes or {})
    assert f"http://{said['server.address']}:{said['server.port']}" == provider.url
    assert said["gen_ai.response.id"] == "chatcmpl-1"


def test_sync_runs_on_event_loops_of_their_own(provider: LoopbackProvider) -> None:
    """Each run gets a client that works on its loop, as it does with a model of Pydantic AI's own."""
    provider.on("small", Reply(text="Because."))
    openai = OpenAIProvider(provider.openai_url, api_key="key")
    agent = Agent(simple(small=OpenAIChatModel("small", provider=openai), large=TestModel()))
    for _ in range(3):
        with asyncio.Runner() as runner:
            assert runner.run(agent.run("Why?")).output == "Because."


async def test_an_agent_may_be_entered_by_several_at_once(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Because."))
    model = routed()
    async with Agent(model) as one:
        async with Agent(model) as other:
            assert (await other.run("Why?")).output == "Because."
        assert (await one.run("Why?")).output == "Because."


async def test_a_tool_that_waits_for_approval_goes_on_where_it_was(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(tool_calls=[Call("pay", {"usd": 5}, id="call_1")]), Reply(text="Paid."))
    agent: Agent[None, Any] = Agent(routed(), output_type=[str, DeferredToolRequests])

    def pay(usd: int) -> str:
        return f"{usd} paid"

    agent.tool_plain(requires_approval=True)(pay)
    first = await agent.run("Pay 5.")
    assert isinstance(first.output, DeferredToolRequests)
    assert [call.tool_name for call in first.output.approvals] == ["pay"]
    approved = DeferredToolResults(approvals={"call_1": True})
    second = await agent.run(message_history=first.all_messages(), deferred_tool_results=approved)
    assert second.output == "Paid."
    assert provider.calls[1].messages[-1]["content"] == "5 paid"


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_conversation_is_the_session(
    provider: LoopbackProvider, routed: Make, replies: list[Answer], streamed: bool
) -> None:
    escalating(provider)
    model = routed(policy=SessionAffinity(AfterError()))
    agent = Agent(model)
    if streamed:
        async with agent.run_stream("Why?") as first:
            await first.get_output()
    else:
        first = await agent.run("Why?")
    second = await agent.run("And then?", message_history=first.all_messages())
    assert first.conversation_id == second.conversation_id
    assert {row.session for reply in replies for row in reply.attempts} == {first.conversation_id}
    assert [r.tier for r in replies] == ["large", "large"]
    assert [c.model for c in provider.calls] == ["small", "large", "large"]


async def test_a_tool_that_asks_for_a_retry_sends_the_next_step_up(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Olso"})]))
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]), Reply(text="Rain."))
    agent: Agent[None, str] = Agent(routed(policy=AfterError() | SessionAffinity()))

    def weather(city: str) -> str:
        if city != "Oslo":
            raise ModelRetry(f"there is no {city}")
        return "Rain"

    agent.tool_plain(weather)
    assert (await agent.run("The weather?")).output == "Rain."
    assert [(r.tier, r.decision.rule) for r in replies][:2] == [("small", "default"), ("large", "after error")]


async def test_a_denied_call_is_no_failure_of_the_model(
    provider: LoopbackProvider, routed: Make, replies: list[Answer]
) -> None:
    provider.on("small", Reply(text="Very well."))
    denied = ToolReturnPart("pay", "no", tool_call_id="c", outcome="denied")
    await Agent(routed()).run("Go on.", message_history=[ModelRequest([denied])])
    assert [r.decision.rule for r in replies] == ["default"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_timeout_bounds_the_whole_request(provider: LoopbackProvider, routed: Make, streamed: bool) -> None:
    provider.on("small", Reply(stall=True))
    agent = Agent(routed(), model_settings={"request_timeout": 2.0})
    with pytest.raises(ModelRequestTimeout):
        await (text_of(agent) if streamed else agent.run("Why?"))
    await asyncio.to_thread(provider.wait_until, lambda: [c.client_closed for c in provider.calls] == [True])


def paused(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse([TextPart("So far")], state="suspended")


async def test_a_response_to_be_continued_later_is_refused() -> None:
    agent = Agent(simple(small=FunctionModel(paused), large=TestModel()))
    with pytest.raises(UserError, match=r"suspended response.*cannot be routed"):
        await agent.run("Why?")
    history = [ModelRequest.user_text_prompt("Why?"), ModelResponse([TextPart("So far")], state="suspended")]
    with pytest.raises(UserError, match="only that model can go on with"):
        await agent.run(message_history=history)


async def test_a_request_for_an_image_is_refused() -> None:
    agent: Agent[None, Any] = Agent(simple(small=TestModel(), large=TestModel()), output_type=BinaryImage)
    with pytest.raises(UserError, match="requests for images are not routed"):
        await agent.run("Draw a cat.")


async def test_what_no_model_may_see_reaches_none(provider: LoopbackProvider, models: dict[str, Model]) -> None:
    router = Router.simple(small="openai:small", large="openai:large")
    agent = Agent(
        RoutedModel(router, models={"large": models["large"], "small": models["large"]}, task={"trust": "local"})
    )
    with pytest.raises(TrustError):
        await agent.run("Why?")
    assert provider.count() == 0


def test_a_name_that_stands_for_nothing_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'large'"):
        simple(small=TestModel(), larg=TestModel())


def test_what_all_models_can_do_is_its_profile(models: dict[str, Model]) -> None:
    able = TestModel(profile={"supports_image_output": True, "context_window": 1_000})
    model = simple(small=able, large=TestModel(profile={"supports_image_output": False, "context_window": 4_000}))
    assert model.profile.get("supports_image_output") is False
    assert model.context_window == 1_000
    assert simple(small=FallbackModel(able), large=able).profile.get("supports_image_output") is True


def test_a_field_that_no_task_has_is_told_when_the_model_is_made(routed: Make) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'job'"):
        routed(task={"joob": "plan"})
