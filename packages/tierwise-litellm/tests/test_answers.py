"""What comes back, over real HTTP, in each way to ask."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import pytest
from asking import Ask, attempt
from tierwise import Tool, ToolCall
from tierwise.errors import BadResponseError
from tierwise.fleet import Usage
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise.testing.provider import Usage as Counts
from tierwise_litellm import LiteLLMBackend
from tierwise_litellm.answers import Assembly, outcome_of, usage_of

WEATHER = Tool("weather", parameters={"type": "object", "properties": {"city": {"type": "string"}}})


async def test_text_and_what_it_cost(provider: LoopbackProvider, ask: Ask, model: str) -> None:
    provider.on("small", Reply(text="one two three", usage=Counts(input=100, output=50)))
    outcome = await ask(model)
    assert (outcome.text, outcome.finish_reason, outcome.usage) == ("one two three", "stop", Usage(100, 50))
    assert (provider.count(), provider.calls[0].completed) == (1, True)


async def test_cached_and_reasoning_tokens_are_parts_of_the_totals(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="hi", usage=Counts(input=100, output=50, cached=30, reasoning=7)))
    outcome = await ask("openai:small")
    assert outcome.usage == Usage(100, 50, cached_tokens=30, reasoning_tokens=7)


@pytest.mark.parametrize("position", ["after", "with", "before"])
async def test_usage_is_read_wherever_a_stream_reports_it(
    provider: LoopbackProvider, ask: Ask, position: Literal["after", "with", "before"]
) -> None:
    provider.on("small", Reply(text="one two", usage=Counts(input=9, output=4), usage_position=position))
    assert (await ask("openai:small")).usage == Usage(9, 4)


async def test_usage_that_is_not_reported_is_not_invented(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="one two", usage_position="missing"))
    outcome = await ask("openai:small")
    assert (outcome.text, outcome.usage) == ("one two", None)


async def test_the_model_that_answered(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="hi", model="small-2026-01-01"))
    assert (await ask("openai:small")).model == "small-2026-01-01"


async def test_thoughts_are_not_the_answer(provider: LoopbackProvider, ask: Ask, model: str) -> None:
    provider.on("small", Reply(text="four", thinking="two and two"))
    outcome = await ask(model)
    assert (outcome.text, outcome.thinking) == ("four", "two and two")


async def test_parallel_tool_calls_come_whole(provider: LoopbackProvider, ask: Ask, model: str) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"}), Call("weather", {"city": "Rome"})]))
    outcome = await ask(model, tools=[WEATHER])
    assert [(c.name, dict(c.arguments)) for c in outcome.tool_calls] == [
        ("weather", {"city": "Oslo"}),
        ("weather", {"city": "Rome"}),
    ]
    assert len({c.id for c in outcome.tool_calls} - {""}) == 2
    assert (outcome.text, outcome.finish_reason) == ("", "tool_calls")


async def test_arguments_that_are_no_json_are_kept_as_they_came(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", '{"city": "Os', id="call_a")], finish_reason="length"))
    outcome = await ask("openai:small", tools=[WEATHER])
    assert outcome.tool_calls == (ToolCall("weather", id="call_a", malformed='{"city": "Os'),)
    assert outcome.finish_reason == "length"


def test_a_tool_call_is_given_as_soon_as_the_next_one_begins(
    provider: LoopbackProvider, backend: LiteLLMBackend
) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"}), Call("weather")], stall_after=4))
    with backend.open(attempt("openai:small", tools=[WEATHER])) as chunks:
        assert next(chunks).tool_calls[0].arguments == {"city": "Oslo"}


async def test_log_probabilities_come_if_they_are_asked_for(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="one two", logprobs=[-0.1, -0.2]))
    assert (await ask("openai:small", logprobs=True)).logprobs == (-0.1, -0.2)
    assert (await ask("openai:small")).logprobs is None
    assert "logprobs" not in provider.calls[-1].body


async def test_a_provider_without_log_probabilities_gives_none(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="one two", logprobs=[-0.1, -0.2]))
    outcome = await ask("ollama:small", logprobs=True)
    assert (outcome.text, outcome.logprobs) == ("one two", None)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_why_an_answer_ended(
    provider: LoopbackProvider, ask: Ask, reason: Literal["length", "content_filter"]
) -> None:
    provider.on("small", Reply(text="I would", finish_reason=reason))
    outcome = await ask("openai:small")
    assert (outcome.text, outcome.finish_reason) == ("I would", reason)


@pytest.mark.parametrize("corrupt", ["malformed", "truncated", "empty"])
async def test_an_answer_that_is_no_answer_is_a_failure(
    provider: LoopbackProvider, ask: Ask, corrupt: Literal["malformed", "truncated", "empty"]
) -> None:
    provider.on("small", Reply(text="one two three four", corrupt=corrupt))
    with pytest.raises(BadResponseError) as caught:
        await ask("openai:small")
    assert caught.value.status is None


@pytest.mark.parametrize("corrupt", ["truncated", "empty"])
async def test_an_answer_of_ollama_that_is_cut_off_is_a_failure(
    provider: LoopbackProvider, ask: Ask, corrupt: Literal["truncated", "empty"]
) -> None:
    provider.on("small", Reply(text="one two three four", corrupt=corrupt))
    with pytest.raises(BadResponseError):
        await ask("ollama:small")


def test_the_words_of_a_refusal_are_the_answer_and_marked() -> None:
    message = SimpleNamespace(content=None, tool_calls=None, provider_specific_fields={"refusal": "I will not."})
    choice = SimpleNamespace(message=message, finish_reason="stop")
    outcome = outcome_of(attempt("openai:small"), SimpleNamespace(choices=[choice], model="small", id="chat-1"))
    assert (outcome.text, outcome.finish_reason) == ("I will not.", "content_filter")
    assert outcome.response_id == "chat-1"


def test_the_words_of_a_refusal_come_in_a_stream() -> None:
    assembly = Assembly(attempt("openai:small"))
    delta = SimpleNamespace(content=None, tool_calls=None, refusal="I will not.")
    chunk = assembly.feed(SimpleNamespace(choices=[SimpleNamespace(delta=delta)], id="chat-1"))
    end = assembly.end(SimpleNamespace(received_finish_reason="stop", chunks=[]))
    assert chunk is not None
    assert (chunk.text, chunk.response_id, end.finish_reason) == ("I will not.", "chat-1", "content_filter")


def counted(tokens_in: int, tokens_out: int, **details: Any) -> SimpleNamespace:
    return SimpleNamespace(prompt_tokens=tokens_in, completion_tokens=tokens_out, **details)


def test_the_last_of_several_reports_holds() -> None:
    assert usage_of([counted(20, 1), None, counted(0, 9)]) == Usage(20, 9)


def test_a_part_that_was_not_reported_is_not_known() -> None:
    assert usage_of([counted(0, 9)]) == Usage(None, 9)
    assert usage_of([counted(0, 0), None]) is None


def test_tokens_that_are_counted_apart_are_added() -> None:
    cache = SimpleNamespace(cached_tokens=80, cache_creation_tokens=10)
    reasoning = SimpleNamespace(reasoning_tokens=40)
    usage = usage_of([counted(5, 3, prompt_tokens_details=cache, completion_tokens_details=reasoning)])
    assert usage == Usage(95, 43, cached_tokens=80, cache_write_tokens=10, reasoning_tokens=40)
