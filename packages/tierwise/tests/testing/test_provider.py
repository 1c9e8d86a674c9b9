"""What the provider answers and records when nothing goes wrong, seen by a plain HTTP client."""

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Request, Token, Usage, count_tokens
from tierwise.testing.provider.plan import Bill, spread
from tierwise.testing.provider.script import words

PATHS = {"ollama": "/api/chat", "openai": "/v1/chat/completions"}
both_dialects = pytest.mark.parametrize("dialect", ["ollama", "openai"])
HELLO = [{"role": "user", "content": "Say hello to me"}]


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    threads = set(threading.enumerate())
    with LoopbackProvider() as running:
        yield running
    assert set(threading.enumerate()) <= threads


def send(provider: LoopbackProvider, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(provider.url.removeprefix("http://"), timeout=10)
    try:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, raw, {"Authorization": "Bearer key"})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def chat(provider: LoopbackProvider, dialect: str, *, stream: bool = False, **body: Any) -> Any:
    request = {"model": "small", "messages": HELLO, "stream": stream, **body}
    _, _, raw = send(provider, "POST", PATHS[dialect], request)
    if not stream:
        return json.loads(raw)
    lines = [line.removeprefix("data: ") for line in raw.decode().splitlines() if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def message(dialect: str, answer: Any) -> Any:
    return answer["message"] if dialect == "ollama" else answer["choices"][0]["message"]


def usage(dialect: str, answer: Any) -> tuple[int, int]:
    if dialect == "ollama":
        return answer["prompt_eval_count"], answer["eval_count"]
    return answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]


def text_of(dialect: str, chunks: list[Any]) -> list[str]:
    if dialect == "ollama":
        return [chunk["message"]["content"] for chunk in chunks if not chunk["done"]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return [delta["content"] for delta in deltas if "content" in delta]


# Answers


@both_dialects
def test_a_text_is_answered_and_billed(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text="Hello, you."))
    answer = chat(provider, dialect)
    assert message(dialect, answer)["content"] == "Hello, you."
    assert usage(dialect, answer) == (4, 2)
    [call] = provider.calls
    assert (call.billed_input, call.billed_output) == (4, 2)
    assert call.completed
    assert not call.client_closed
    assert call.ended is not None
    assert call.started < call.ended


@both_dialects
def test_a_stream_brings_the_same_text_word_by_word(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text="One two three"))
    chunks = chat(provider, dialect, stream=True, stream_options={"include_usage": True})
    assert text_of(dialect, chunks) == ["One", " two", " three"]
    assert usage(dialect, chunks[-1]) == (4, 3)
    [call] = provider.calls
    assert call.stream
    assert (call.billed_input, call.billed_output, call.completed) == (4, 3, True)


@both_dialects
def test_chunks_have_the_size_asked_for(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text="abcdefg", chunk_size=3))
    assert text_of(dialect, chat(provider, dialect, stream=True)) == ["abc", "def", "g"]


@both_dialects
def test_a_json_value_is_the_text(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(json={"age": 31}))
    assert json.loads(message(dialect, chat(provider, dialect))["content"]) == {"age": 31}


@both_dialects
def test_an_empty_answer_is_a_valid_one(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply())
    assert message(dialect, chat(provider, dialect))["content"] == ""
    assert text_of(dialect, chat(provider, dialect, stream=True)) == []
    assert [(call.billed_input, call.billed_output) for call in provider.calls] == [(4, 0), (4, 0)]


@both_dialects
def test_the_answer_may_come_from_another_model(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text="x", model="small-2026-01"))
    assert chat(provider, dialect)["model"] == "small-2026-01"
    assert provider.calls[0].model == "small"


def test_ollama_tool_calls_come_whole_with_an_object(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("a", {"x": 1}), Call("b", {})]))
    chunks = chat(provider, "ollama", stream=True)
    functions = [chunk["message"]["tool_calls"][0]["function"] for chunk in chunks[:-1]]
    assert [(item["name"], item["arguments"]) for item in functions] == [("a", {"x": 1}), ("b", {})]
    assert chunks[-1]["done_reason"] == "stop"
    again = message("ollama", chat(provider, "ollama"))["tool_calls"]
    calls = [*again, *(chunk["message"]["tool_calls"][0] for chunk in chunks[:-1])]
    assert len({call["id"] for call in calls}) == 4


def test_openai_tool_calls_come_in_pieces(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("a", {"x": 1}, id="first"), Call("b", '{"y": ')], chunk_size=2))
    chunks = chat(provider, "openai", stream=True)
    pieces = [piece for chunk in chunks for piece in chunk["choices"][0]["delta"].get("tool_calls", [])]
    arguments = {
        place: "".join(piece["function"]["arguments"] for piece in pieces if piece["index"] == place)
        for place in (0, 1)
    }
    assert arguments == {0: '{"x": 1}', 1: '{"y": '}
    assert len(pieces) > 4
    assert pieces[0]["id"] == "first"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_ollama_cannot_send_arguments_that_are_no_object(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("b", '{"y": ')]))
    assert "error parsing tool call" in chat(provider, "ollama")["error"]
    assert "error parsing tool call" in chat(provider, "ollama", stream=True)[0]["error"]


def test_thinking_is_apart_from_the_answer(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(thinking="Let me see.", text="Yes."))
    assert chat(provider, "ollama")["message"]["thinking"] == "Let me see."
    assert "thinking" not in chat(provider, "ollama", think=False)["message"]
    assert message("openai", chat(provider, "openai"))["reasoning_content"] == "Let me see."
    chunks = chat(provider, "ollama", stream=True)
    assert "".join(chunk["message"].get("thinking", "") for chunk in chunks) == "Let me see."
    assert "".join(text_of("ollama", chunks)) == "Yes."


def test_log_probabilities_are_sent_when_asked_for(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(logprobs=[Token("Hi", -0.25, top=(("Hi", -0.25), ("Yo", -2.0))), Token("!", -0.5)]))
    answer = chat(provider, "ollama", logprobs=True, top_logprobs=1)
    assert answer["message"]["content"] == "Hi!"
    assert [item["logprob"] for item in answer["logprobs"]] == [-0.25, -0.5]
    assert [item["token"] for item in answer["logprobs"][0]["top_logprobs"]] == ["Hi"]
    assert "logprobs" not in chat(provider, "ollama")
    choice = chat(provider, "openai", logprobs=True)["choices"][0]
    assert [item["token"] for item in choice["logprobs"]["content"]] == ["Hi", "!"]
    chunks = chat(provider, "ollama", stream=True, logprobs=True)
    assert [chunk["logprobs"][0]["token"] for chunk in chunks[:-1]] == ["Hi", "!"]


def test_log_probabilities_may_be_absent_though_asked_for(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="Hi"))
    assert "logprobs" not in chat(provider, "ollama", logprobs=True)
    assert chat(provider, "openai", logprobs=True)["choices"][0]["logprobs"] is None


def test_bare_log_probabilities_are_laid_over_the_text(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="abcde", logprobs=[-0.1, -0.2]))
    assert [item["token"] for item in chat(provider, "ollama", logprobs=True)["logprobs"]] == ["ab", "cde"]


@pytest.mark.parametrize(
    ("given", "ollama", "openai"),
    [("stop", "stop", "stop"), ("length", "length", "length"), ("content_filter", "stop", "content_filter")],
)
def test_finish_reasons(provider: LoopbackProvider, given: Any, ollama: str, openai: str) -> None:
    provider.on("small", Reply(text="x", finish_reason=given))
    assert chat(provider, "ollama")["done_reason"] == ollama
    assert chat(provider, "openai")["choices"][0]["finish_reason"] == openai


# Usage


@both_dialects
@pytest.mark.parametrize("stream", [False, True])
def test_given_usage_is_reported_and_billed(provider: LoopbackProvider, dialect: str, stream: bool) -> None:
    provider.on("small", Reply(text="One two three", usage=Usage(input=100, output=7, cached=60, reasoning=5)))
    answer = chat(provider, dialect, stream=stream, stream_options={"include_usage": True})
    last = answer[-1] if stream else answer
    assert usage(dialect, last) == (100, 7)
    if dialect == "openai":
        assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 60}
        assert last["usage"]["completion_tokens_details"] == {"reasoning_tokens": 5}
    assert (provider.calls[0].billed_input, provider.calls[0].billed_output) == (100, 7)


@both_dialects
@pytest.mark.parametrize("stream", [False, True])
def test_missing_usage_is_billed_all_the_same(provider: LoopbackProvider, dialect: str, stream: bool) -> None:
    provider.on("small", Reply(text="One two", usage_position="missing"))
    answer = chat(provider, dialect, stream=stream, stream_options={"include_usage": True})
    text = json.dumps(answer)
    assert "eval_count" not in text
    assert "prompt_tokens" not in text
    assert (provider.calls[0].billed_input, provider.calls[0].billed_output) == (4, 2)


@pytest.mark.parametrize(
    ("position", "expected"),
    [("after", ["finish", "usage"]), ("before", ["usage", "finish"]), ("with", ["finish+usage"])],
)
def test_where_a_stream_reports_usage(provider: LoopbackProvider, position: Any, expected: list[str]) -> None:
    provider.on("small", Reply(text="x", usage_position=position))
    chunks = chat(provider, "openai", stream=True, stream_options={"include_usage": True})
    seen = [
        "+".join(
            name
            for name, present in (
                ("finish", any(choice["finish_reason"] for choice in chunk["choices"])),
                ("usage", chunk["usage"]),
            )
            if present
        )
        for chunk in chunks
    ]
    assert [name for name in seen if name] == expected


def test_openai_streams_report_usage_only_when_asked(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="x"))
    assert all("usage" not in chunk for chunk in chat(provider, "openai", stream=True))


# Scripts


def test_replies_come_in_order_and_the_last_repeats(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="1"), Reply(text="2"))
    assert [chat(provider, "ollama")["message"]["content"] for _ in range(3)] == ["1", "2", "2"]


@both_dialects
def test_a_star_stands_for_every_model_without_a_script(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("*", Reply(text="any"))
    provider.on("other", Reply(text="other"))
    assert [message(dialect, chat(provider, dialect, model=m))["content"] for m in ("new", "other")] == ["any", "other"]
    assert provider.count("new") == 1
    _, _, listed = send(provider, "GET", "/api/tags")
    assert [model["name"] for model in json.loads(listed)["models"]] == ["other"]


def test_a_default_repeats_once_the_replies_are_used_up(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="1"), default=Reply(text="rest"))
    assert [chat(provider, "ollama")["message"]["content"] for _ in range(3)] == ["1", "rest", "rest"]


@both_dialects
def test_a_function_gets_the_parsed_request(provider: LoopbackProvider, dialect: str) -> None:
    seen: list[Request] = []

    def reply(request: Request) -> Reply:
        seen.append(request)
        return Reply(text=request.messages[-1]["content"].upper())

    provider.on("small", reply)
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    schema = {"type": "object", "properties": {"x": {"type": "string"}}}
    constraint: dict[str, Any] = {
        "format": schema,
        "options": {"seed": 1},
        "response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": schema}},
    }
    assert message(dialect, chat(provider, dialect, tools=tools, **constraint))["content"] == "SAY HELLO TO ME"
    [request] = seen
    assert (request.dialect, request.path, request.model) == (dialect, PATHS[dialect], "small")
    assert request.tools == tools
    assert request.schema == schema
    assert request.options["seed" if dialect == "ollama" else "response_format"]
    assert request.headers["authorization"] == "Bearer key"
    assert "Bearer key" not in repr(provider.calls)


def test_an_error_in_a_function_is_a_500_and_is_raised_at_the_end() -> None:
    def broken(request: Request) -> Reply:
        raise LookupError("no such answer")

    provider = LoopbackProvider()
    provider.on("small", broken)
    provider.start()
    assert "LookupError" in chat(provider, "ollama")["error"]
    with pytest.raises(LookupError, match="no such answer"):
        provider.__exit__(None, None, None)


def test_a_script_needs_a_reply(provider: LoopbackProvider) -> None:
    with pytest.raises(ValueError, match="at least one"):
        provider.on("small")


@both_dialects
def test_an_unscripted_model_is_the_dialects_404(provider: LoopbackProvider, dialect: str) -> None:
    status, _, raw = send(provider, "POST", PATHS[dialect], {"model": "nope:1b", "messages": HELLO})
    assert status == 404
    error = json.loads(raw)["error"]
    if dialect == "ollama":
        assert error == "model 'nope:1b' not found"
    else:
        assert error["code"] == "model_not_found"
    [call] = provider.calls
    assert (call.model, call.status, call.billed_input, call.billed_output) == ("nope:1b", 404, 0, 0)


def test_latest_is_the_same_model(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="x"))
    assert chat(provider, "ollama", model="small:latest")["model"] == "small:latest"


def test_a_scripted_path_stands_in_for_every_model(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="model"))
    provider.on_path("/api/chat", Reply(status=503), Reply(text="path"))
    assert "server busy" in chat(provider, "ollama")["error"]
    assert chat(provider, "ollama", model="unknown")["message"]["content"] == "path"
    assert message("openai", chat(provider, "openai"))["content"] == "model"


# Counting


def test_counts_and_reset(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="x"))
    provider.on("large", Reply(text="y"))
    for model in ("small", "large", "small"):
        chat(provider, "ollama", model=model)
    send(provider, "GET", "/api/tags")
    assert (provider.count("small"), provider.count("large"), provider.count()) == (2, 1, 3)
    assert [probe.path for probe in provider.probes] == ["/api/tags"]
    provider.reset()
    assert (provider.calls, provider.probes) == ([], [])
    assert chat(provider, "ollama")["message"]["content"] == "x"
    provider.reset(scripts=True)
    assert "not found" in chat(provider, "ollama")["error"]


def test_concurrent_calls_are_all_recorded(provider: LoopbackProvider) -> None:
    gate = threading.Event()
    provider.on("small", Reply(text="One two", gate=gate))
    clients = [threading.Thread(target=chat, args=(provider, "ollama")) for _ in range(40)]
    for client in clients:
        client.start()
    provider.wait_until(lambda: provider.open_calls == len(clients))
    gate.set()
    for client in clients:
        client.join()
    assert provider.open_calls == 0
    assert provider.peak_open_calls == 40
    assert sum(call.billed_output for call in provider.calls) == 80
    positions = [position for call in provider.calls for position in (call.started, call.ended)]
    assert len(set(positions)) == 80


def test_a_queue_is_shared_fairly_between_threads(provider: LoopbackProvider) -> None:
    provider.on("small", *(Reply(text=str(number)) for number in range(20)), default=Reply(text="none left"))
    answers: list[str] = []
    clients = [
        threading.Thread(target=lambda: answers.append(chat(provider, "ollama")["message"]["content"]))
        for _ in range(20)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert sorted(answers, key=int) == [str(number) for number in range(20)]


def test_one_connection_serves_several_requests(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="One two"))
    connection = HTTPConnection(provider.url.removeprefix("http://"), timeout=10)
    connection.connect()
    first_socket = connection.sock
    for stream in (True, False, True):
        body = json.dumps({"model": "small", "messages": HELLO, "stream": stream})
        connection.request("POST", "/api/chat", body)
        connection.getresponse().read()
        assert connection.sock is first_socket
    connection.close()
    assert [call.completed for call in provider.calls] == [True] * 3


# The server itself


def test_the_server_describes_itself(provider: LoopbackProvider) -> None:
    provider.describe("small", capabilities=("completion",), context_length=512)
    assert json.loads(send(provider, "GET", "/api/version")[2]) == {"version": "0.33.0"}
    assert send(provider, "GET", "/")[2] == b"Ollama is running"
    assert send(provider, "HEAD", "/")[0] == 200
    [tag] = json.loads(send(provider, "GET", "/api/tags")[2])["models"]
    assert (tag["model"], tag["details"]["context_length"]) == ("small", 512)
    shown = json.loads(send(provider, "POST", "/api/show", {"model": "small"})[2])
    assert shown["capabilities"] == ["completion"]
    assert shown["model_info"]["llama.context_length"] == 512
    assert [item["id"] for item in json.loads(send(provider, "GET", "/v1/models")[2])["data"]] == ["small"]
    assert json.loads(send(provider, "GET", "/v1/models/small")[2])["id"] == "small"
    assert send(provider, "GET", "/v1/models/nope")[0] == 404
    assert provider.calls == []


def test_a_model_refuses_what_it_cannot_do(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="x"))
    provider.describe("small", capabilities=("completion",))
    assert "does not support tools" in chat(provider, "ollama", tools=[{"type": "function"}])["error"]
    assert "does not support thinking" in chat(provider, "ollama", think=True)["error"]
    assert chat(provider, "ollama", think=False)["done"]


def test_loading_and_unloading(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="x"))

    def loaded() -> list[tuple[str, int]]:
        models = json.loads(send(provider, "GET", "/api/ps")[2])["models"]
        return [(item["model"], item["context_length"]) for item in models]

    assert loaded() == []
    assert chat(provider, "ollama", messages=[], options={"num_ctx": 256})["done_reason"] == "load"
    assert loaded() == [("small", 256)]
    assert chat(provider, "ollama", messages=[], keep_alive=0)["done_reason"] == "unload"
    assert loaded() == []
    assert provider.calls == []


def test_a_model_answers_after_it_is_pulled(provider: LoopbackProvider) -> None:
    provider.on("big", Reply(text="x"))
    provider.describe("big", pulled=False)
    assert "not found" in chat(provider, "ollama", model="big")["error"]
    lines = send(provider, "POST", "/api/pull", {"model": "big"})[2].splitlines()
    assert json.loads(lines[-1]) == {"status": "success"}
    assert chat(provider, "ollama", model="big")["message"]["content"] == "x"


def test_a_failed_pull_is_a_line_under_200(provider: LoopbackProvider) -> None:
    provider.describe("big", pulled=False, pull_error="no space left on device")
    status, _, raw = send(provider, "POST", "/api/pull", {"model": "big"})
    assert (status, json.loads(raw.splitlines()[-1])) == (200, {"error": "no space left on device"})
    assert send(provider, "POST", "/api/pull", {"model": "big", "stream": False})[0] == 500


def test_embeddings(provider: LoopbackProvider) -> None:
    provider.describe("embedder", embedding_length=64)
    body = {"model": "embedder", "input": ["red apple", "red apple tree", "blue sky"]}
    near, nearer, far = json.loads(send(provider, "POST", "/api/embed", body)[2])["embeddings"]

    def product(left: list[float], right: list[float]) -> float:
        return sum(a * b for a, b in zip(left, right, strict=True))

    assert product(near, nearer) > product(near, far)
    assert (provider.calls[0].billed_input, provider.calls[0].billed_output) == (7, 0)
    provider.embed_with("embedder", lambda text: [1.0, float(len(text))])
    answer = json.loads(send(provider, "POST", "/v1/embeddings", {"model": "embedder", "input": "abc"})[2])
    assert answer["data"][0]["embedding"] == [1.0, 3.0]
    assert send(provider, "POST", "/api/embed", {"model": "embedder", "input": 5})[0] == 400
    assert "try pulling it first" in send(provider, "POST", "/api/embed", {"model": "no", "input": "x"})[2].decode()


@both_dialects
@pytest.mark.parametrize(
    "body", [None, b"{nope", b"[]", b"\xff\xfe", {"messages": HELLO}, {"model": "small", "messages": "x"}]
)
def test_a_bad_request_is_a_400(provider: LoopbackProvider, dialect: str, body: Any) -> None:
    provider.on("small", Reply(text="x"))
    status, _, raw = send(provider, "POST", PATHS[dialect], body)
    assert status == 400
    assert json.loads(raw)["error"]


def test_unknown_routes_and_methods(provider: LoopbackProvider) -> None:
    assert send(provider, "GET", "/api/nope")[::2] == (404, b"404 page not found")
    status, headers, raw = send(provider, "GET", "/api/chat")
    assert (status, headers["Allow"], raw) == (405, "POST", b"405 method not allowed")


def test_the_provider_is_unusable_when_it_is_not_running() -> None:
    provider = LoopbackProvider()
    with pytest.raises(RuntimeError, match="not running"):
        assert provider.url
    provider.stop()
    with provider, pytest.raises(RuntimeError, match="already running"):
        provider.start()


def test_a_wait_that_fails_names_what_is_open(provider: LoopbackProvider) -> None:
    gate = threading.Event()
    provider.on("small", Reply(text="x", gate=gate))
    client = threading.Thread(target=chat, args=(provider, "ollama"))
    client.start()
    provider.wait_until(lambda: provider.open_calls == 1)
    with pytest.raises(TimeoutError, match="small"):
        provider.wait_idle(timeout=0)
    with pytest.raises(TimeoutError, match="did not hold"):
        provider.wait_until(lambda: provider.count() == 2, timeout=0)
    gate.set()
    client.join()
    provider.wait_idle()


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
def test_odd_text_travels_unharmed(provider: LoopbackProvider, dialect: str) -> None:
    odd = "nul \0 rtl \u202e zero \u200b emoji \U0001f600 line\u2028end\r\n"
    provider.on("small", lambda request: Reply(text=request.messages[0]["content"], chunk_size=1))
    messages = [{"role": "user", "content": odd}]
    assert message(dialect, chat(provider, dialect, messages=messages))["content"] == odd
    surrogate = [{"role": "user", "content": "lone \ud800"}]
    assert message(dialect, chat(provider, dialect, messages=surrogate))["content"] == "lone \ud800"


@given(st.text())
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(words(text)) == text
    assert (count_tokens(text) == 0) == (text == "")


@given(output=st.integers(0, 50), chunks=st.integers(1, 12))
def test_tokens_spread_over_chunks_add_up(output: int, chunks: int) -> None:
    frames = spread([b"x"] * chunks, Bill(input=9, output=output, cached=0, reasoning=0))
    assert sum(frame.output for frame in frames) == output
    assert sum(frame.input for frame in frames) == 9
