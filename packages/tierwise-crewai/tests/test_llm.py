"""The routed LLM as CrewAI's machinery uses it: hooks, events, retries, copies, overlays, settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from crewai import LLM, Agent, BaseLLM, Crew, Task
from crewai.agents.agent_builder.base_agent import _validate_llm_ref
from crewai.events.event_bus import crewai_event_bus
from crewai.events.types.llm_events import LLMCallCompletedEvent, LLMCallFailedEvent, LLMCallStartedEvent
from crewai.hooks.dispatch import HookAborted, InterceptionPoint, clear, register
from crewai.llm_overlay import llm_overlay
from crewai.llms.base_llm import LLMCallBlockedError, call_stop_override
from crewai.tools import tool
from pydantic import BaseModel
from tierwise import Fleet, Judge, ModelSpec, Router, Single, Tier
from tierwise import Reply as Answer
from tierwise.errors import AllModelsFailedError, ConfigError, UnknownNameError
from tierwise.strategies import Cascade, act_only
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise.verifiers import free_verifier
from tierwise_crewai import RoutedLLM

Make = Callable[..., RoutedLLM]

DRAFT = "This draft is far too long to be accepted"


@tool("weather")
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}"


TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
def events() -> Iterator[list[Any]]:
    """What CrewAI's listeners are told of calls."""
    seen: list[Any] = []

    def told(source: Any, event: Any) -> None:
        seen.append(event)

    with crewai_event_bus.scoped_handlers():
        for kind in (LLMCallStartedEvent, LLMCallCompletedEvent, LLMCallFailedEvent):
            crewai_event_bus.on(kind)(told)
        yield seen


@pytest.fixture
def hooks() -> Iterator[Callable[[InterceptionPoint, Callable[[Any], Any]], None]]:
    points: list[InterceptionPoint] = []

    def add(point: InterceptionPoint, hook: Callable[[Any], Any]) -> None:
        points.append(point)
        register(point, hook)

    yield add
    for point in points:
        clear(point)


def test_listeners_are_told_of_one_call_and_of_no_draft(
    provider: LoopbackProvider, routed: Make, events: list[Any]
) -> None:
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(json={"reason": "poor", "score": 2}), Reply(text="The large answer"))
    assert routed(verifier=Judge("large")).call("Why?") == "The large answer"
    crewai_event_bus.flush()
    assert provider.count() == 3
    started, completed = sorted(events, key=lambda event: event.emission_sequence)
    assert started.type == "llm_call_started"
    assert (completed.response, completed.model) == ("The large answer", "openai:large")
    assert (completed.finish_reason, completed.response_id) == ("stop", "chatcmpl-3")
    assert completed.started_event_id == started.event_id
    assert completed.usage["completion_tokens"] == provider.calls[-1].billed_output


def test_a_call_that_fails_is_told_once(provider: LoopbackProvider, routed: Make, events: list[Any]) -> None:
    provider.on("small", Reply(status=500))
    provider.on("large", Reply(status=500))
    with pytest.raises(AllModelsFailedError):
        routed().call("Why?")
    crewai_event_bus.flush()
    assert sorted(event.type for event in events) == ["llm_call_failed", "llm_call_started"]


async def test_a_full_fleet_is_asked_once_and_not_again_and_again(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(status=429))
    provider.on("large", Reply(status=429, retry_after=0))
    llm = routed()
    with pytest.raises(AllModelsFailedError, match="RateLimit"):
        llm.call("Why?")
    with pytest.raises(AllModelsFailedError, match="RateLimit"):
        await llm.acall("Why?")
    assert [c.model for c in provider.calls] == ["small", "large"] * 2


def test_models_that_are_left_out_are_built_without_retries(
    provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    provider.on("small", Reply(status=503))
    provider.on("gpt-5.2", Reply(text="The large answer"))
    router = Router.simple(small="ollama:small", large="openai:gpt-5.2", strategy=Single())
    assert RoutedLLM(router).call("Why?") == "The large answer"
    assert [c.model for c in provider.calls] == ["small", "gpt-5.2"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_hook_is_asked_once_and_may_change_what_is_sent_and_said(
    provider: LoopbackProvider, routed: Make, hooks: Any, streamed: bool
) -> None:
    asked: list[str] = []

    def before(context: Any) -> None:
        asked.append(context.messages[-1]["content"])
        context.messages[-1]["content"] = "Why not?"

    hooks(InterceptionPoint.PRE_MODEL_CALL, before)

    def after(context: Any) -> str:
        return context.response.upper()

    hooks(InterceptionPoint.POST_MODEL_CALL, after)
    provider.on("small", Reply(text=DRAFT))
    provider.on("large", Reply(text="The large answer"))
    assert routed(stream=streamed).call("Why?") == "THE LARGE ANSWER"
    assert asked == ["Why?"]
    assert [c.messages[-1]["content"] for c in provider.calls] == ["Why not?", "Why not?"]


@pytest.mark.parametrize("old", [False, True])
async def test_a_hook_that_forbids_the_call_ends_it(
    provider: LoopbackProvider, routed: Make, hooks: Any, events: list[Any], old: bool
) -> None:
    def before(context: Any) -> bool:
        if old:
            return False
        raise HookAborted(reason="not today")

    hooks(InterceptionPoint.PRE_MODEL_CALL, before)
    llm = routed()
    error = LLMCallBlockedError if old else HookAborted
    with pytest.raises(error):
        llm.call("Why?")
    with pytest.raises(error):
        await llm.acall("Why?")
    crewai_event_bus.flush()
    assert provider.count() == 0
    assert [event.type for event in events].count("llm_call_failed") == 2


def test_a_hook_that_forbids_one_model_is_no_reason_to_ask_the_next(
    provider: LoopbackProvider, models: dict[str, BaseLLM], hooks: Any
) -> None:
    from tierwise_crewai import CrewAIBackend

    def before(context: Any) -> bool:
        return False

    hooks(InterceptionPoint.PRE_MODEL_CALL, before)
    fleet = Fleet([Tier("small", ["ollama:small"]), Tier("large", ["openai:large"])])
    backend = CrewAIBackend({"ollama:small": models["small"], "openai:large": models["large"]})
    with pytest.raises(LLMCallBlockedError):
        Router(fleet, strategy=Single()).using(backend).run("Why?")
    assert provider.count() == 0


def test_functions_are_run_once_for_the_accepted_call(provider: LoopbackProvider, routed: Make) -> None:
    ran: list[str] = []

    def look(city: str) -> str:
        ran.append(city)
        return f"Rain in {city}"

    provider.on("small", Reply(tool_calls=[Call("weather", {"town": 3})]))
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    assert routed().call("Rain?", tools=[TOOL], available_functions={"weather": look}) == "Rain in Oslo"
    assert ran == ["Oslo"]


def test_stop_words_and_settings_reach_the_model_that_answers(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="One.\nObservation: two"))
    llm = routed(temperature=0.5, max_tokens=50, seed=7)
    with call_stop_override(llm, ["\nObservation:"]):
        assert llm.call("Why?") == "One."
    [call] = provider.calls
    assert (call.options["temperature"], call.options["max_tokens"], call.options["seed"]) == (0.5, 50, 7)


def test_the_settings_of_a_rung_reach_its_model(provider: LoopbackProvider, models: dict[str, BaseLLM]) -> None:
    provider.on("large", Reply(text="So."))
    large: Any = LLM(
        model="openai/large", base_url=provider.openai_url, api_key="k", max_retries=0, max_completion_tokens=900
    )
    spec = ModelSpec(
        "openai:large", temperature=0.1, top_p=0.2, seed=3, max_output_tokens=40, options={"presence_penalty": 0.3}
    )
    router = Router(Fleet([Tier("large", spec)]), strategy=Single())
    RoutedLLM(router, models={"large": large}, temperature=0.9, additional_params={"n": 1}).call("Why?")
    options = provider.calls[0].options
    told = {"temperature": 0.1, "top_p": 0.2, "seed": 3, "max_completion_tokens": 40, "presence_penalty": 0.3}
    assert {name: options.get(name) for name in told} == told


def test_what_a_model_s_own_llm_is_set_to_stays(provider: LoopbackProvider, routed: Make, models: Any) -> None:
    models["small"].temperature = 0.25
    provider.on("small", Reply(text="One."))
    routed().call("Why?")
    assert provider.calls[0].options["temperature"] == 0.25
    assert models["small"]._token_usage["successful_requests"] == 0


def test_an_overlay_takes_its_place_within_its_block(
    provider: LoopbackProvider, routed: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    provider.on("small", Reply(text="Small."))
    provider.on("gpt-5.2", Reply(text="Overlaid."))
    llm = routed()

    def crew() -> Any:
        writer = Agent(role="Writer", goal="Write", backstory="Knows", llm=llm)
        task = Task(description="Why?", expected_output="A sentence", agent=writer)
        return Crew(agents=[writer], tasks=[task])

    with llm_overlay({"Writer": "openai/gpt-5.2"}):
        assert crew().kickoff().raw == "Overlaid."
    assert crew().kickoff().raw == "Small."


def test_copies_count_for_themselves_over_one_router(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed()
    other = copy(llm)
    other.call("Why?")
    other.call("Why?")
    assert (llm.get_token_usage_summary().successful_requests, llm.router) == (0, other.router)
    assert other.get_token_usage_summary().successful_requests == 2


def test_written_down_it_is_found_again_in_this_process_only(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="So."))
    llm = routed()
    again = _validate_llm_ref(llm.to_config_dict())
    assert again is not llm
    assert again.call("Why?") == "So."
    elsewhere: dict[str, Any] = {**llm.to_config_dict(), "additional_params": {}}
    with pytest.raises(ConfigError, match="a router cannot be written down"):
        _validate_llm_ref(elsewhere)


def test_the_context_window_is_what_the_router_can_place(models: dict[str, BaseLLM]) -> None:
    def window(**contexts: int | None) -> int:
        tiers = [
            Tier("small", ModelSpec("ollama:small", window=contexts["small"])),
            Tier("large", ModelSpec("openai:large", window=contexts["large"])),
        ]
        return RoutedLLM(Router(Fleet(tiers)), models=models).get_context_window_size()

    assert window(small=4_000, large=100_000) == 85_000
    assert window(small=None, large=100_000) == models["small"].get_context_window_size()


def test_counting_tokens_asks_nobody(provider: LoopbackProvider, routed: Make) -> None:
    llm = routed()
    plain, offered = (llm.get_input_tokens_count("word " * 80, tools=tools) for tools in (None, [TOOL]))
    assert plain == 101
    assert offered > plain
    assert provider.count() == 0


class Plain(BaseLLM):
    """A user's own: it answers, tells nobody, and has no async call."""

    answers: list[str]

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        self._track_token_usage_internal({"prompt_tokens": 3, "completion_tokens": 2})
        return self.answers.pop(0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_user_s_own_llm_will_do_sync_async_and_streamed(events: list[Any], streamed: bool) -> None:
    target = Plain(model="own", answers=["One.", "Two."])
    router = Router.simple(small="own:small", large="own:large", strategy=Single())
    llm = RoutedLLM(router, models={"small": target, "large": target}, stream=streamed)
    assert llm.call("Why?") == "One."
    assert await llm.acall("Why?") == "Two."
    assert llm.get_token_usage_summary().completion_tokens == 4
    crewai_event_bus.flush()
    assert len(events) == (4 if streamed else 0)


class Lite(Plain):
    """As CrewAI's LLM does that goes through LiteLLM: it tells of failures past its methods."""

    def call(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        crewai_event_bus.emit(self, LLMCallFailedEvent(error="down", call_id="1"))
        raise ConnectionError("down")

    async def acall(self, messages: Any, *args: Any, **kwargs: Any) -> str:
        return self.call(messages)


async def test_a_failure_that_is_told_past_the_router_ends_no_other_call(
    events: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = Lite(model="lite", answers=[], is_litellm=True), Plain(model="own", answers=["One.", "Two."])
    router = Router.simple(small="own:small", large="own:large", strategy=Single())
    llm = RoutedLLM(router, models={"small": small, "large": large}, stream=True)
    assert llm.call("Why?") == "One."
    assert await llm.acall("Why?") == "Two."
    crewai_event_bus.flush()
    started = [event.event_id for event in events if event.type == "llm_call_started"]
    completed = [event.started_event_id for event in events if event.type == "llm_call_completed"]
    assert sorted(completed) == sorted(started)
    assert "Missing starting event" not in capsys.readouterr().out


@pytest.mark.parametrize("way", ["call", "acall", "stream", "astream"])
async def test_a_gate_stops_a_draft_while_it_is_written(
    provider: LoopbackProvider, routed: Make, replies: list[Answer], way: str
) -> None:
    provider.on("small", Reply(text="Let me think about that for a while.", stall_after=3, gate=threading.Event()))
    provider.on("large", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    llm = routed(stream="stream" in way)
    llm._routed._setup = replace(llm._routed._setup, strategy=Cascade(free_verifier(), gate=act_only()))
    asked: dict[str, Any] = {"messages": "Rain?", "tools": [TOOL]}
    [call] = await llm.acall(**asked) if way.startswith("a") else llm.call(**asked)
    assert (call if isinstance(call, dict) else call.model_dump())["function"]["name"] == "weather"
    provider.wait_until(lambda: provider.calls[0].client_closed)
    draft = replies[0].attempts[0]
    assert draft.finish_reason == "aborted"
    assert draft.usage is not None
    assert draft.usage.estimated
    assert draft.usage.output_tokens


def test_made_by_crewai_from_a_name_it_is_no_llm_of_a_provider(routed: Make) -> None:
    llm = routed()
    assert (llm.model, llm.provider, llm.llm_type) == ("tierwise", "tierwise", "tierwise")
    assert not isinstance(llm, LLM)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_typed_answer_that_was_cut_off_goes_to_the_next_model(
    provider: LoopbackProvider, routed: Make, reason: Any
) -> None:
    class City(BaseModel):
        name: str

    provider.on("small", Reply(text='{"name": "Os', finish_reason=reason))
    provider.on("large", Reply(json={"name": "Oslo"}))
    assert routed().call("Which?", response_model=City) == City(name="Oslo")
    assert [c.model for c in provider.calls] == ["small", "large"]


@pytest.mark.parametrize("way", ["call", "acall"])
async def test_a_typed_answer_that_was_cut_off_is_on_the_bill(
    provider: LoopbackProvider, routed: Make, replies: list[Answer], way: str
) -> None:
    class City(BaseModel):
        name: str

    provider.on("small", Reply(text='{"name": "Os', finish_reason="length"))
    provider.on("large", Reply(json={"name": "Oslo"}))
    asked: dict[str, Any] = {"messages": "Which?", "response_model": City}
    llm = routed()
    assert (await llm.acall(**asked) if way == "acall" else llm.call(**asked)) == City(name="Oslo")
    draft, billed = replies[0].attempts[0], provider.calls[0]
    assert (draft.verdict, draft.finish_reason, draft.error_type) == ("reject", "length", None)
    assert draft.usage is not None
    assert (draft.usage.input_tokens, draft.usage.output_tokens) == (billed.billed_input, billed.billed_output)


def test_a_field_that_no_task_has_is_told_when_the_llm_is_made(routed: Callable[..., RoutedLLM]) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'job'"):
        routed(task={"joob": "plan"})
