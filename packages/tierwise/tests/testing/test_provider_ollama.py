"""The real Ollama client is content with the provider, and sees its faults."""

import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import httpx
import ollama
import pytest
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Token, Usage

HELLO = [{"role": "user", "content": "Say hello to me"}]
TEXT = "One two three four"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    threads = set(threading.enumerate())
    with LoopbackProvider() as running:
        yield running
    assert set(threading.enumerate()) == threads


@pytest.fixture
def client(provider: LoopbackProvider) -> Iterator[ollama.Client]:
    with closing(ollama.Client(host=provider.url, timeout=10)) as client:
        yield client


# The client's own annotations leave parts of `chat` unknown, hence the `Any`.
def ask(client: Any, **fields: Any) -> ollama.ChatResponse:
    return client.chat(model="small", messages=HELLO, **fields)


def stream(client: Any, **fields: Any) -> Generator[ollama.ChatResponse]:
    return client.chat(model="small", messages=HELLO, stream=True, **fields)


def test_a_chat(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on("small", Reply(thinking="Hm.", text=TEXT, usage=Usage(input=11, output=5)))
    answer = ask(client)
    assert (answer.message.content, answer.message.thinking) == (TEXT, "Hm.")
    assert (answer.prompt_eval_count, answer.eval_count, answer.done_reason) == (11, 5, "stop")


def test_a_stream(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on("small", Reply(text=TEXT))
    chunks = list(stream(client))
    assert "".join(chunk.message.content or "" for chunk in chunks) == TEXT
    assert (chunks[-1].done, chunks[-1].eval_count) == (True, 4)


def test_tool_calls(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on(
        "small", Reply(tool_calls=[Call("get_weather", {"city": "Oslo"}), Call("get_weather", {"city": "Rome"})])
    )
    calls = ask(client, tools=[WEATHER]).message.tool_calls or []
    assert [call.function.arguments["city"] for call in calls] == ["Oslo", "Rome"]
    streamed = [call for chunk in stream(client, tools=[WEATHER]) for call in chunk.message.tool_calls or []]
    assert [call.function.arguments["city"] for call in streamed] == ["Oslo", "Rome"]
    assert provider.calls[0].tools[0]["function"]["name"] == "get_weather"


def test_log_probabilities(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on("small", Reply(logprobs=[Token("Hi", -0.25), Token("!", -0.5)]))
    answer = ask(client, logprobs=True)
    assert [item.logprob for item in answer.logprobs or []] == [-0.25, -0.5]


def test_a_schema_reaches_the_provider(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on("small", Reply(json={"age": 31}))
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    ask(client, format=schema, options={"num_ctx": 512})
    assert provider.calls[0].schema == schema
    assert provider.calls[0].options["num_ctx"] == 512


def test_the_catalog(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.describe("small", pulled=False)
    assert client.list().models == []
    assert [item.status for item in client.pull("small", stream=True)][-1] == "success"
    assert [item.model for item in client.list().models] == ["small"]
    assert "tools" in (client.show("small").capabilities or [])
    assert len(client.embed("small", ["one", "two"]).embeddings) == 2
    assert client.ps().models == []


def test_a_missing_model(provider: LoopbackProvider, client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'small' not found") as caught:
        ask(client)
    assert caught.value.status_code == 404


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_error_statuses(provider: LoopbackProvider, client: ollama.Client, status: int) -> None:
    provider.on("small", Reply(status=status, error="as scripted"))
    with pytest.raises(ollama.ResponseError, match="as scripted") as caught:
        list(stream(client))
    assert caught.value.status_code == status
    assert provider.calls[0].billed_output == 0


def test_an_error_inside_a_stream(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on("small", Reply(text=TEXT, error="out of memory", error_after=1))
    with pytest.raises(ollama.ResponseError, match="out of memory"):
        list(stream(client))
    assert provider.calls[0].billed_output == 1


def test_a_server_that_is_down(provider: LoopbackProvider, client: ollama.Client) -> None:
    with provider.refusing(), pytest.raises(ConnectionError):
        ask(client)
    assert provider.calls == []


def test_a_stream_that_dies(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on("small", Reply(text=TEXT, disconnect_after=2))
    seen: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError):
        seen.extend(chunk.message.content or "" for chunk in stream(client))
    assert provider.calls[0].billed_output == 2


def test_a_malformed_body(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on("small", Reply(text=TEXT, corrupt="malformed"))
    with pytest.raises(ValueError, match="Expecting value"):
        ask(client)


def test_a_silent_server(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(stall=True))
    with closing(ollama.Client(host=provider.url, timeout=0.05)) as hasty, pytest.raises(httpx.ReadTimeout):
        ask(hasty)
    provider.wait_until(lambda: [call.client_closed for call in provider.calls] == [True])


def test_a_consumer_that_stops_early(provider: LoopbackProvider, client: ollama.Client) -> None:
    provider.on("small", Reply(text=TEXT, stall_after=2))
    chunks = stream(client)
    assert next(chunks).message.content == "One"
    chunks.close()
    provider.wait_idle()
    [call] = provider.calls
    assert (call.client_closed, call.billed_input) == (True, 4)
    assert 1 <= call.billed_output <= 2


async def test_the_async_client(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text=TEXT))
    client: Any = ollama.AsyncClient(host=provider.url, timeout=10)
    try:
        answer = await client.chat(model="small", messages=HELLO)
        chunks = [chunk async for chunk in await client.chat(model="small", messages=HELLO, stream=True)]
    finally:
        await client.close()
    assert answer.message.content == TEXT
    assert chunks[-1].done
