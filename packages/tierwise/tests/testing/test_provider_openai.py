"""The real OpenAI client is content with the provider, and sees its faults."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Token, Usage

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello to me"}]
TEXT = "One two three four"


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    threads = set(threading.enumerate())
    with LoopbackProvider() as running:
        yield running
    assert set(threading.enumerate()) == threads


@pytest.fixture
def client(provider: LoopbackProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=provider.openai_url, api_key="key", max_retries=0, timeout=10) as client:
        yield client


def stream(client: openai.OpenAI) -> openai.Stream[ChatCompletionChunk]:
    return client.chat.completions.create(
        model="small", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    create: Any = client.chat.completions.create
    return create(model="small", messages=HELLO, **fields)


def test_a_chat(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(text=TEXT, usage=Usage(input=11, output=5, cached=3, reasoning=1)))
    answer = ask(client)
    assert answer.choices[0].message.content == TEXT
    assert answer.usage.prompt_tokens_details.cached_tokens == 3
    assert answer.usage.completion_tokens_details.reasoning_tokens == 1


@pytest.mark.parametrize("position", ["after", "with", "before"])
def test_a_stream(provider: LoopbackProvider, client: openai.OpenAI, position: Any) -> None:
    provider.on("small", Reply(text=TEXT, usage_position=position))
    chunks = list(stream(client))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == TEXT
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [4]
    assert provider.calls[0].completed


def test_parallel_tool_calls(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    calls = [Call("get_weather", {"city": "Oslo"}), Call("get_weather", {"city": "Rome"})]
    provider.on("small", Reply(tool_calls=calls, chunk_size=3))
    message = ask(client).choices[0].message
    assert [json.loads(call.function.arguments)["city"] for call in message.tool_calls] == ["Oslo", "Rome"]
    with client.chat.completions.stream(model="small", messages=HELLO) as events:
        final = events.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments)["city"] for call in final.message.tool_calls or []] == ["Oslo", "Rome"]


def test_log_probabilities(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(logprobs=[Token("Hi", -0.25, top=(("Hi", -0.25),)), Token("!", -0.5)]))
    content = ask(client, logprobs=True, top_logprobs=1).choices[0].logprobs.content
    assert [(item.token, item.logprob) for item in content] == [("Hi", -0.25), ("!", -0.5)]


def test_a_schema_reaches_the_provider(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(json={"age": 31}))
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    ask(client, response_format={"type": "json_schema", "json_schema": {"name": "p", "schema": schema}})
    ask(client, response_format={"type": "json_object"})
    assert [call.schema for call in provider.calls] == [schema, {"type": "object"}]
    assert provider.calls[0].headers["authorization"] == "Bearer key"


def test_the_catalog(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.describe("small", embedding_length=4)
    assert [model.id for model in client.models.list()] == ["small"]
    assert client.models.retrieve("small").id == "small"
    assert len(client.embeddings.create(model="small", input="hello").data[0].embedding) == 4


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (503, openai.InternalServerError),
    ],
)
def test_error_statuses(
    provider: LoopbackProvider, client: openai.OpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    provider.on("small", Reply(status=status, retry_after=3, error="as scripted"))
    with pytest.raises(error, match="as scripted") as caught:
        ask(client)
    assert caught.value.response.headers["retry-after"] == "3"
    assert (provider.calls[0].billed_input, provider.calls[0].billed_output) == (0, 0)


def test_a_context_overflow(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(status=400, error_code="context_length_exceeded"))
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client)
    assert caught.value.code == "context_length_exceeded"


def test_the_clients_own_retries_are_counted(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(status=429, retry_after_ms=1), Reply(status=500, retry_after_ms=1), Reply(text=TEXT))
    assert ask(client.with_options(max_retries=2)).choices[0].message.content == TEXT
    assert [call.status for call in provider.calls] == [429, 500, 200]


def test_an_error_inside_a_stream(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(text=TEXT, error="overloaded", error_after=1))
    with stream(client) as chunks, pytest.raises(openai.APIError, match="overloaded"):
        list(chunks)
    assert provider.calls[0].billed_output == 1


def test_a_server_that_is_down(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    with provider.refusing(), pytest.raises(openai.APIConnectionError):
        ask(client)
    assert provider.calls == []


def test_a_reset_connection(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(refuse=True))
    with pytest.raises(openai.APIConnectionError):
        ask(client)
    assert provider.calls[0].status is None


def test_a_silent_server(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(stall=True))
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.05))
    provider.wait_until(lambda: [call.client_closed for call in provider.calls] == [True])


def test_a_consumer_that_stops_early(provider: LoopbackProvider, client: openai.OpenAI) -> None:
    provider.on("small", Reply(text=TEXT, stall_after=2))
    with stream(client) as chunks:
        assert next(chunks).choices[0].delta.content == "One"
    provider.wait_idle()
    [call] = provider.calls
    assert (call.completed, call.client_closed, call.billed_input) == (False, True, 4)
    assert 1 <= call.billed_output <= 2


async def test_the_async_client(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text=TEXT))
    async with openai.AsyncOpenAI(base_url=provider.openai_url, api_key="key", max_retries=0) as client:
        answer = await client.chat.completions.create(model="small", messages=HELLO)
        assert answer.choices[0].message.content == TEXT
        chunks = [
            chunk async for chunk in await client.chat.completions.create(model="small", messages=HELLO, stream=True)
        ]
    assert chunks[-1].choices[0].finish_reason == "stop"
