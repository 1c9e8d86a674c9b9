"""The server over HTTP, with engines that follow a script."""

import http.client
import json
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from tierwise_embedded import EmbeddedServer
from tierwise_embedded.errors import EngineError

MESSAGES = [{"role": "user", "content": "Say hi."}]


@contextmanager
def sent(server: EmbeddedServer, method: str, path: str, body: object = None) -> Generator[http.client.HTTPResponse]:
    target = urlsplit(server.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port)
    connection.request(method, path, None if body is None else json.dumps(body))
    response = connection.getresponse()
    try:
        yield response
    finally:
        response.close()
        connection.close()


def post(server: EmbeddedServer, path: str, **body: Any) -> tuple[int, Any]:
    with sent(server, "POST", path, {"model": "smollm2:135m", **body}) as response:
        return response.status, json.loads(response.read())


def chat(server: EmbeddedServer, **body: Any) -> tuple[int, Any]:
    return post(server, "/api/chat", messages=MESSAGES, stream=False, **body)


def test_one_connection_carries_many_requests(scripted: EmbeddedServer) -> None:
    target = urlsplit(scripted.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port)
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"Ollama is running"
    connection.close()


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
def test_head_has_no_body(scripted: EmbeddedServer, path: str) -> None:
    with sent(scripted, "HEAD", path) as response:
        assert response.status == 200
        assert int(response.headers["Content-Length"]) > 0
        assert response.read() == b""


def test_show_tells_the_capabilities(scripted: EmbeddedServer) -> None:
    assert post(scripted, "/api/show")[1]["capabilities"] == ["completion"]
    status, shown = post(scripted, "/api/show", model="library/qwen2.5-coder:0.5b")
    assert status == 200
    assert shown["capabilities"] == ["completion", "tools"]
    assert shown["model_info"]["qwen2.context_length"] == 32768
    assert shown["details"]["family"] == "qwen2"


def test_a_known_model_that_is_not_offered_is_missing_until_it_is_pulled(scripted: EmbeddedServer) -> None:
    assert chat(scripted, model="qwen2.5-coder:1.5b")[0] == 404
    with sent(scripted, "POST", "/api/pull", {"model": "qwen2.5-coder:1.5b"}) as response:
        statuses = [json.loads(line)["status"] for line in response.read().splitlines()]
    assert statuses[0] == "pulling manifest"
    assert statuses[-1] == "success"
    assert chat(scripted, model="qwen2.5-coder:1.5b")[0] == 200


def test_an_embedded_model_is_not_deleted(scripted: EmbeddedServer) -> None:
    with sent(scripted, "DELETE", "/api/delete", {"model": "smollm2:135m"}) as response:
        assert response.status == 400
        assert "cannot be deleted" in json.loads(response.read())["error"]


def test_an_error_in_the_middle_of_a_stream_is_its_last_line(scripted: EmbeddedServer, script: Any) -> None:
    script.words = ["Hello", EngineError("the engine broke")]
    with sent(scripted, "POST", "/api/chat", {"model": "smollm2:135m", "messages": MESSAGES}) as response:
        lines = [json.loads(line) for line in response.read().splitlines()]
    assert response.status == 200
    assert lines[0]["message"]["content"] == "Hello"
    assert lines[-1] == {"error": "the engine broke"}


def test_an_error_in_the_middle_of_an_openai_stream_is_its_last_event(scripted: EmbeddedServer, script: Any) -> None:
    script.words = ["Hello", EngineError("the engine broke")]
    body = {"model": "smollm2:135m", "messages": MESSAGES, "stream": True}
    with sent(scripted, "POST", "/v1/chat/completions", body) as response:
        events = response.read().decode().strip().split("\n\n")
    assert json.loads(events[-1].removeprefix("data: "))["error"]["message"] == "the engine broke"


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_before_the_first_piece_has_its_own_status(
    scripted: EmbeddedServer, script: Any, stream: bool
) -> None:
    script.words = [EngineError("the engine broke")]
    status, body = post(scripted, "/api/chat", messages=MESSAGES, stream=stream)
    assert (status, body) == (500, {"error": "the engine broke"})
    status, body = post(scripted, "/v1/chat/completions", messages=MESSAGES, stream=stream)
    assert (status, body["error"]["message"]) == (500, "the engine broke")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_client_that_goes_away_stops_its_generation(
    scripted: EmbeddedServer, script: Any, path: str, stream: bool
) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def words() -> Generator[str]:
        try:
            while True:
                yield "more "
                begun.set()
        finally:
            stopped.set()

    script.words = endless = words()
    target = urlsplit(scripted.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port)
    body = {"model": "smollm2:135m", "messages": MESSAGES, "stream": stream}
    connection.request("POST", path, json.dumps(body))
    assert begun.wait(30)
    connection.close()
    with scripted.scheduler._changed:
        assert scripted.scheduler._changed.wait_for(lambda: not scripted.scheduler.loaded()[0].busy, 30)
    endless.close()
    assert stopped.is_set()
    script.words = ["again"]
    assert chat(scripted)[1]["message"]["content"] == "again"


def test_stopping_the_server_ends_what_runs(script: Any) -> None:
    begun = threading.Event()

    def words() -> Iterator[str]:
        while True:
            begun.set()
            yield "more "

    script.words = words()
    server = EmbeddedServer(["smollm2:135m"], loader=script.load, fetcher=lambda model, progress: None)
    failures: list[Exception] = []

    def ask() -> None:
        try:
            chat(server)
        except (ConnectionError, http.client.HTTPException) as error:
            failures.append(error)

    with server:
        client = threading.Thread(target=ask)
        client.start()
        assert begun.wait(30)
    client.join()
    assert len(failures) == 1
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url


def test_options_reach_the_engine(scripted: EmbeddedServer, script: Any) -> None:
    chat(scripted, options={"temperature": 0, "num_predict": 9, "num_ctx": 512, "stop": ["x"]}, logprobs=True)
    (request,) = script.requests
    assert request["n_predict"] == 9
    assert request["stop"] == ["x"]
    assert request["n_probs"] == 1
    assert script.loaded[0][1].num_ctx == 512


def test_openai_options_reach_the_engine(scripted: EmbeddedServer, script: Any) -> None:
    post(scripted, "/v1/chat/completions", messages=MESSAGES, max_tokens=9, stop="x", seed=4)
    (request,) = script.requests
    assert request["n_predict"] == 9
    assert request["stop"] == ["x"]
    assert request["seed"] == 4
    assert request["temperature"] == 1.0


def test_openai_message_parts_are_joined(scripted: EmbeddedServer) -> None:
    parts = [{"type": "text", "text": "Say"}, {"type": "text", "text": "hi."}]
    status, body = post(scripted, "/v1/chat/completions", messages=[{"role": "user", "content": parts}])
    assert status == 200
    assert body["usage"]["prompt_tokens"] == 3


def test_calls_of_tools_come_whole_with_an_object_of_arguments(scripted: EmbeddedServer, script: Any) -> None:
    script.words = ["<tool", '_call>{"name": "f", "argu', 'ments": {"a": 1}}</tool_call>']
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    asked: dict[str, Any] = {"model": "qwen2.5-coder:0.5b", "tools": tools, "messages": MESSAGES}
    _, body = post(scripted, "/api/chat", **asked, stream=False)
    (call,) = body["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "f", "arguments": {"a": 1}}
    assert body["message"]["content"] == ""
    assert body["done_reason"] == "stop"
    _, body = post(scripted, "/v1/chat/completions", **asked)
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


def test_embeddings_of_each_route(scripted: EmbeddedServer) -> None:
    assert post(scripted, "/api/embed", input=["a", "b"])[1]["embeddings"] == [[0.6, 0.8, 0.0]] * 2
    assert post(scripted, "/api/embed", input="a", dimensions=1)[1]["embeddings"] == [[1.0]]
    assert post(scripted, "/api/embed", input=[])[1]["embeddings"] == []
    assert post(scripted, "/api/embeddings", prompt="a")[1]["embedding"] == [0.6, 0.8, 0.0]
    status, body = post(scripted, "/v1/embeddings", input="a", encoding_format="base64")
    assert (status, body["data"][0]["embedding"]) == (200, "mpkZP83MTD8AAAAA")


def test_generate_joins_an_earlier_context(scripted: EmbeddedServer, script: Any) -> None:
    _, first = post(scripted, "/api/generate", prompt="Say hi.", stream=False)
    assert first["response"] == "Hello there"
    post(scripted, "/api/generate", prompt="Go on.", context=first["context"], stream=False)
    assert script.requests[1]["prompt"][: len(first["context"])] == first["context"]


def test_a_request_body_without_a_length_is_refused(scripted: EmbeddedServer) -> None:
    target = urlsplit(scripted.url)
    with closing(http.client.HTTPConnection(target.hostname or "", target.port)) as connection:
        # The head alone: the server answers it and hangs up, whatever of the body is on its way.
        connection.putrequest("POST", "/api/chat")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        with connection.getresponse() as response:
            assert response.status == 411


def test_an_unknown_model_cannot_be_embedded() -> None:
    with pytest.raises(ValueError, match="'nope:latest' cannot be embedded"):
        EmbeddedServer(["nope"])


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/pull", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"model": "\\ud800"}',
        b'{"model": 5}',
        b'{"model": {}}',
        b"[" * 100_000,
        b"\xff",
        b'{"model": "smollm2:135m", "messages": [{"content": [1]}], "prompt": [], "input": {}}',
        b'{"model": "smollm2:135m", "messages": [{"tool_calls": [1]}], "prompt": "x", "context": ["x"], "input": [1]}',
        b'{"model": "qwen2.5-coder:0.5b", "messages": [{}], "tools": ["x"], "prompt": "x", "options": {"seed": NaN}}',
        b'{"model": "qwen2.5-coder:0.5b", "messages": [{}], "tools": [{"function": 1}], "prompt": "x", "images": 1}',
        b'{"model": "smollm2:135m", "messages": [{}], "response_format": 1, "prompt": "x", "options": {"stop": [1]}}',
    ],
)
def test_a_senseless_body_is_answered(scripted: EmbeddedServer, path: str, body: bytes) -> None:
    target = urlsplit(scripted.url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port)
    connection.request("POST", path, body)
    response = connection.getresponse()
    assert response.status in {200, 400, 404, 500}
    assert response.read()
    connection.close()
