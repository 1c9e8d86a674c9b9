from __future__ import annotations

import asyncio
import math
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from tierwise.attempt import Attempt
from tierwise.backends import Backends
from tierwise.errors import ConfigError, InvalidRequestError
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE, Usage
from tierwise.messages import Message, Tool, ToolCall
from tierwise.router import Router
from tierwise.task import Task
from tierwise.testing import provider as loopback
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_ollama import OllamaBackend

WEATHER = Tool("get_weather", "Weather.", {"type": "object", "properties": {"city": {"type": "string"}}})


class Person(BaseModel):
    name: str
    age: int


def attempt(prompt: Any = "Say hello.", *, model: ModelSpec | str = "ollama:m", **fields: Any) -> Attempt:
    own = {key: fields.pop(key) for key in ("temperature", "seed", "logprobs", "timeout") if key in fields}
    return Attempt(Task(prompt, **fields), ModelSpec.of(model), **own)


def test_an_answer_with_its_counts(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello to you", usage=loopback.Usage(input=11, output=3)))
    outcome = backend.call(attempt())
    assert (outcome.text, outcome.finish_reason, outcome.model) == ("Hello to you", "stop", "m")
    assert outcome.usage == Usage(11, 3)
    assert outcome.logprobs is None
    assert outcome.raw["eval_count"] == 3


async def test_async_answers_as_sync_does(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello to you"))
    assert (await backend.acall(attempt())).text == "Hello to you"
    async with backend.aopen(attempt()) as chunks:
        assert "".join([c.text async for c in chunks]) == "Hello to you"


def test_a_stream_gives_the_pieces_as_they_come(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    gate = threading.Event()
    provider.on("m", Reply(text="One two three", stall_after=1, gate=gate))
    with backend.open(attempt()) as chunks:
        assert next(chunks).text == "One"
        gate.set()
        rest = list(chunks)
    assert [c.text for c in rest if c.is_visible] == [" two", " three"]
    assert rest[-1].usage == Usage(2, 3)


async def test_sync_calls_work_inside_a_running_loop(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello"))
    assert backend.call(attempt()).text == "Hello"


def test_one_backend_serves_several_event_loops_and_threads(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello"))

    async def twice() -> list[str]:
        both = await asyncio.gather(backend.acall(attempt()), backend.acall(attempt()))
        return [o.text for o in both]

    assert [asyncio.run(twice()) for _ in range(3)] == [["Hello", "Hello"]] * 3
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(backend.call, [attempt() for _ in range(16)]))
    assert {o.text for o in outcomes} == {"Hello"}
    assert provider.count("m") == 22


def test_the_models_settings_are_sent(provider: LoopbackProvider) -> None:
    provider.on("m", Reply(text="Hello"))
    model = ModelSpec(
        "ollama:m",
        temperature=0.2,
        top_p=0.9,
        seed=7,
        max_output_tokens=50,
        num_ctx=2048,
        options={"stop": ["END"], "repeat_penalty": 1.1, "keep_alive": "1h"},
    )
    OllamaBackend(provider.url, keep_alive=5).call(attempt(model=model, temperature=0.7, max_output_tokens=20))
    sent = provider.calls[0].body
    assert sent["options"] == {
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 7,
        "num_predict": 20,
        "num_ctx": 2048,
        "stop": ["END"],
        "repeat_penalty": 1.1,
    }
    assert (sent["truncate"], sent["shift"], sent["keep_alive"]) == (False, False, "1h")


def test_an_answer_cut_at_its_cap_says_so(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text='{"name": "An', finish_reason="length"))
    assert backend.call(attempt(max_output_tokens=3)).finish_reason == "length"


def test_counts_that_the_server_leaves_out_are_not_known(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello", usage_position="missing"))
    assert backend.call(attempt()).usage is None


class TestTools:
    def test_calls_of_tools(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on(
            "m", Reply(tool_calls=[Call("get_weather", {"city": "Oslo"}), Call("get_weather", {"city": "Rome"})])
        )
        outcome = backend.call(attempt(tools=[WEATHER]))
        assert [(c.name, c.arguments["city"]) for c in outcome.tool_calls] == [
            ("get_weather", "Oslo"),
            ("get_weather", "Rome"),
        ]
        assert len({c.id for c in outcome.tool_calls}) == 2
        assert provider.calls[0].tools[0]["function"]["name"] == "get_weather"

    def test_the_whole_schema_of_a_tool_reaches_the_server(
        self, provider: LoopbackProvider, backend: OllamaBackend
    ) -> None:
        schema = {
            "type": "object",
            "properties": {"when": {"anyOf": [{"$ref": "#/$defs/Day"}, {"type": "null"}]}},
            "$defs": {"Day": {"type": "object", "properties": {"day": {"type": "integer", "minimum": 1}}}},
            "additionalProperties": False,
        }
        provider.on("m", Reply(text="Hello"))
        backend.call(attempt(tools=[Tool("book", parameters=schema)]))
        assert provider.calls[0].tools[0]["function"]["parameters"] == schema

    def test_a_model_without_tools_is_never_given_any(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="Hello"))
        provider.describe("m", capabilities=["completion"])
        with pytest.raises(InvalidRequestError, match=r"ollama:m has no tools"):
            backend.call(attempt(tools=[WEATHER]))
        assert provider.calls == []

    def test_a_call_written_as_text_is_repaired_by_the_router(self, provider: LoopbackProvider) -> None:
        provider.on("m", Reply(text='```json\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n```'))
        router = Router.simple(small="ollama:m", large="ollama:l", backends={"ollama": OllamaBackend(provider.url)})
        reply = router.run("Weather in Oslo?", tools=[WEATHER])
        assert reply.tool_calls[0].arguments == {"city": "Oslo"}
        assert reply.tool_calls[0].repaired
        assert provider.count() == 1

    def test_a_conversation_with_tools(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="It is sunny."))
        call = ToolCall("get_weather", {"city": "Oslo"}, id="toolu/1")
        history = [
            Message("user", "Weather?"),
            Message("assistant", tool_calls=(call,), thinking="Hm.", signature="s", origin="anthropic"),
            Message("tool", "sunny", tool_call_id="toolu/1"),
        ]
        backend.call(attempt(history, tools=[WEATHER]))
        _, asked, result = provider.calls[0].messages
        assert asked["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": {"city": "Oslo"}}
        assert "thinking" not in asked
        assert asked["tool_calls"][0]["id"] == result["tool_call_id"] != "toolu/1"
        assert result["tool_name"] == "get_weather"


class TestThinking:
    def test_thoughts_are_not_the_answer(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(thinking="Let me see.", text="Four."))
        outcome = backend.call(attempt(model=ModelSpec("ollama:m", reasoning_effort="high")))
        assert (outcome.thinking, outcome.text) == ("Let me see.", "Four.")
        assert provider.calls[0].body["think"] == "high"

    def test_a_capable_model_thinks_only_if_it_is_asked_to(
        self, provider: LoopbackProvider, backend: OllamaBackend
    ) -> None:
        provider.on("m", Reply(thinking="Let me see.", text="Four."))
        assert backend.call(attempt()).thinking == ""
        assert provider.calls[0].body["think"] is False

    def test_a_model_that_cannot_think_is_not_told_to(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="Four."))
        provider.describe("m", capabilities=["completion"])
        backend.call(attempt(model=ModelSpec("ollama:m", reasoning_effort="high")))
        assert "think" not in provider.calls[0].body

    def test_thoughts_in_the_text_are_taken_out(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="<think>\nTwo and two.\n</think>\n\nFour.", chunk_size=3))
        outcome = backend.call(attempt())
        assert (outcome.thinking.strip(), outcome.text) == ("Two and two.", "Four.")

    def test_an_unknown_effort_names_the_nearest(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="Four."))
        with pytest.raises(ConfigError, match=r"unknown reasoning_effort 'hihg'; did you mean 'high'"):
            backend.call(attempt(model=ModelSpec("ollama:m", reasoning_effort="hihg")))


class TestTypedOutput:
    def test_the_schema_constrains_the_answer(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(json={"name": "Ann", "age": 31}))
        assert backend.call(attempt(output_schema=Person)).text == '{"name": "Ann", "age": 31}'
        assert provider.calls[0].schema == Person.model_json_schema()

    def test_an_invalid_schema_is_not_sent(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="prose"))
        with pytest.raises(ConfigError, match="no valid JSON schema"):
            backend.call(attempt(output_schema={"type": "nonsense"}))
        assert provider.calls == []

    def test_beside_tools_the_schema_is_told_as_it_would_forbid_calls(
        self, provider: LoopbackProvider, backend: OllamaBackend
    ) -> None:
        provider.on("m", Reply(text="{}"))
        backend.call(attempt(output_schema=Person, tools=[WEATHER], system="Be brief."))
        sent = provider.calls[0]
        assert "format" not in sent.body
        assert sent.messages[0]["content"].startswith("Be brief.")
        assert '"age"' in sent.messages[0]["content"]

    def test_a_server_that_knows_no_schemas_is_told_in_words(self) -> None:
        with LoopbackProvider(version="0.4.7") as old:
            old.on("m", Reply(text="{}"))
            OllamaBackend(old.url).call(attempt(output_schema=Person))
            assert old.calls[0].body["format"] == "json"
            assert '"age"' in old.calls[0].messages[0]["content"]


class TestLogprobs:
    def test_they_are_given_where_they_are_asked_for(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="Yes indeed", logprobs=[-0.1, -2.5]))
        assert backend.call(attempt(logprobs=True)).logprobs == (-0.1, -2.5)
        assert backend.call(attempt()).logprobs is None

    def test_a_server_without_them_is_not_asked(self) -> None:
        with LoopbackProvider(version="0.12.10") as old:
            old.on("m", Reply(text="Yes"))
            assert OllamaBackend(old.url).call(attempt(logprobs=True)).logprobs is None
            assert "logprobs" not in old.calls[0].body


class TestEmbeddings:
    def test_one_vector_for_each_text(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.describe("e", capabilities=["embedding"], embedding_length=4, context_length=512)
        vectors = backend.embed(["a b", "a b", "c"], "ollama:e")
        assert vectors[0] == vectors[1] != vectors[2]
        assert math.isclose(sum(x * x for x in vectors[0]), 1)
        assert provider.calls[0].body["truncate"] is False
        assert provider.calls[0].options["num_ctx"] == 512

    async def test_no_texts_need_no_call(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        assert await backend.aembed([], "ollama:e") == []
        assert (provider.calls, provider.probes) == ([], [])

    def test_one_text_alone_is_a_mistake(self, backend: OllamaBackend) -> None:
        with pytest.raises(ConfigError, match=r"use \['one text'\]"):
            backend.embed("one text", "ollama:e")


class TestImages:
    def test_base64_and_data_urls(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="A cat."))
        provider.describe("m", capabilities=["completion", "vision"])
        backend.call(attempt([Message("user", "What?", images=("data:image/png;base64,aGk=", "aGk="))]))
        assert provider.calls[0].messages[0]["images"] == ["aGk=", "aGk="]

    def test_a_path_is_never_read(self, provider: LoopbackProvider, backend: OllamaBackend, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("s3cret")
        provider.on("m", Reply(text="Hm."))
        provider.describe("m", capabilities=["completion", "vision"])
        with pytest.raises(InvalidRequestError, match="no base64"):
            backend.call(attempt([Message("user", "What?", images=(str(secret),))]))
        with pytest.raises(InvalidRequestError, match="no links"):
            backend.call(attempt([Message("user", "What?", images=("https://example.org/cat.png",))]))
        assert provider.calls == []

    def test_a_model_without_eyes_is_given_none(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="Hm."))
        with pytest.raises(InvalidRequestError, match="sees no images"):
            backend.call(attempt([Message("user", "What?", images=("aGk=",))]))


@pytest.mark.parametrize("prompt", ["a\x00b", "lone \ud800 surrogate", "‮right to left", "a​b", "   "])
def test_odd_text_is_sent_as_it_is(prompt: str, provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello"))
    assert backend.call(attempt(prompt)).text == "Hello"
    assert provider.calls[0].messages[0]["content"] == prompt


class TestTrust:
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "http://[::1]:11434", "0.0.0.0", None])
    def test_a_server_on_this_machine_is_local_and_free(self, host: str | None) -> None:
        backend, model = OllamaBackend(host), ModelSpec("ollama:m")
        assert (backend.trust(model), backend.price(model)) == ("local", FREE)

    @pytest.mark.parametrize(
        "host", ["gpu.example", "10.0.0.5", "https://ollama.com", "localhost.example", "127.0.0.1.example"]
    )
    def test_of_any_other_nothing_is_known(self, host: str) -> None:
        assert OllamaBackend(host).trust(ModelSpec("ollama:m")) is None

    @pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "kimi-k2:cloud"])
    def test_a_cloud_model_is_neither_local_nor_free(self, name: str) -> None:
        backend, model = OllamaBackend(), ModelSpec(f"ollama:{name}")
        assert (backend.trust(model), backend.price(model)) == (None, None)

    def test_an_environment_proxy_sees_nothing_of_a_local_call(
        self, provider: LoopbackProvider, backend: OllamaBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        provider.on("m", Reply(text="Hello"))
        assert backend.call(attempt()).text == "Hello"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"host": "ftp://x"}, "host='ftp://x'"),
        ({"host": "http://user:pw@x"}, "without a user"),
        ({"host": "x:port"}, "no host"),
        ({"pull": "always"}, "pull='always'"),
        ({"num_ctx": 0}, "num_ctx=0"),
        ({"keep_alive": ""}, "keep_alive=''"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OllamaBackend(**settings)


def test_importing_it_loads_no_http_client() -> None:
    import subprocess

    code = (
        "import sys, tierwise_ollama; print([m for m in ('httpx', 'ollama', 'anyio', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_it_is_found_by_its_prefix(provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", provider.url)
    assert isinstance(Backends().find("ollama"), OllamaBackend)
