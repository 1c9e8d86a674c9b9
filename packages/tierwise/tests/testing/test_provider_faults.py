"""Each fault: what a plain HTTP client sees, and what the provider counted."""

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPResponse, IncompleteRead, RemoteDisconnected
from typing import Any

import pytest
from tierwise.testing.provider import LoopbackProvider, RecordedCall, Reply, Request

PATHS = {"ollama": "/api/chat", "openai": "/v1/chat/completions"}
both_dialects = pytest.mark.parametrize("dialect", ["ollama", "openai"])
both_shapes = pytest.mark.parametrize("stream", [False, True])
TEXT = "One two three four"
HELLO = [{"role": "user", "content": "Say hello to me"}]


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    threads = set(threading.enumerate())
    with LoopbackProvider() as running:
        yield running
    assert set(threading.enumerate()) == threads


@contextmanager
def asked(provider: LoopbackProvider, dialect: str, stream: bool) -> Generator[HTTPConnection]:
    """A connection on which a request was sent and nothing was read."""
    with closing(HTTPConnection(provider.url.removeprefix("http://"), timeout=10)) as connection:
        body = {"model": "small", "messages": HELLO, "stream": stream, "stream_options": {"include_usage": True}}
        connection.request("POST", PATHS[dialect], json.dumps(body))
        yield connection


@contextmanager
def answered(provider: LoopbackProvider, dialect: str, stream: bool) -> Generator[HTTPResponse]:
    with asked(provider, dialect, stream) as connection, closing(connection.getresponse()) as response:
        yield response


def read(provider: LoopbackProvider, dialect: str, stream: bool) -> tuple[int, dict[str, str], bytes]:
    with answered(provider, dialect, stream) as response:
        return response.status, dict(response.headers), response.read()


def only(provider: LoopbackProvider) -> RecordedCall:
    provider.wait_idle()
    [call] = provider.calls
    return call


def billed(call: RecordedCall) -> tuple[int, int]:
    return call.billed_input, call.billed_output


def chunks_in(raw: bytes) -> int:
    return sum(word.encode() in raw for word in TEXT.split())


# Errors by status


@both_dialects
@both_shapes
@pytest.mark.parametrize("status", [400, 401, 429, 500, 502, 503, 529])
def test_an_error_status(provider: LoopbackProvider, dialect: str, stream: bool, status: int) -> None:
    provider.on("small", Reply(status=status))
    seen, _, raw = read(provider, dialect, stream)
    assert seen == status
    error = json.loads(raw)["error"]
    assert error if dialect == "ollama" else {"message", "type", "param", "code"} <= set(error)
    call = only(provider)
    assert (call.status, call.completed, call.client_closed, billed(call)) == (status, True, False, (0, 0))


@both_dialects
def test_an_error_has_the_message_and_code_asked_for(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(status=400, error="flagged", error_code="content_policy_violation"))
    error = json.loads(read(provider, dialect, False)[2])["error"]
    assert error == "flagged" if dialect == "ollama" else error["code"] == "content_policy_violation"


@both_dialects
def test_a_context_overflow_has_the_dialects_shape(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(status=400, error_code="context_length_exceeded"))
    error = json.loads(read(provider, dialect, False)[2])["error"]
    if dialect == "ollama":
        assert json.loads(error)["error"]["type"] == "exceed_context_size_error"
    else:
        assert error["code"] == "context_length_exceeded"


def test_ollamas_403_is_empty(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(status=403))
    assert read(provider, "ollama", False)[::2] == (403, b"")


@both_dialects
def test_retry_after(provider: LoopbackProvider, dialect: str) -> None:
    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    provider.on(
        "small",
        Reply(status=429, retry_after=2),
        Reply(status=429, retry_after=0.5),
        Reply(status=429, retry_after=moment),
        Reply(status=429, retry_after="soon"),
        Reply(status=429, retry_after_ms=1500, headers={"X-Extra": "1"}),
    )
    headers = [read(provider, dialect, False)[1] for _ in range(5)]
    assert [headers[0]["Retry-After"], headers[1]["Retry-After"], headers[3]["Retry-After"]] == ["2", "0.5", "soon"]
    assert parsedate_to_datetime(headers[2]["Retry-After"]) == moment
    assert (headers[4]["retry-after-ms"], headers[4]["X-Extra"]) == ("1500", "1")


# Broken connections


@both_dialects
def test_a_server_that_is_down_refuses_connections(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text=TEXT))
    url = provider.url
    with provider.refusing(), pytest.raises(ConnectionRefusedError):
        read(provider, dialect, False)
    assert provider.calls == []
    assert provider.url == url
    assert read(provider, dialect, False)[0] == 200


def test_refusing_closes_idle_connections_and_spares_busy_ones(provider: LoopbackProvider) -> None:
    gate = threading.Event()
    provider.on("small", Reply(text=TEXT), Reply(text=TEXT, gate=gate))
    with asked(provider, "ollama", False) as idle:
        idle.getresponse().read()
        with asked(provider, "ollama", False) as busy:
            provider.wait_until(lambda: provider.open_calls == 1)
            with provider.refusing():
                gate.set()
                assert busy.getresponse().status == 200
                assert idle.sock is not None
                assert idle.sock.recv(1) == b""


def test_stopping_while_refusing(provider: LoopbackProvider) -> None:
    with LoopbackProvider() as other:
        other.on("small", Reply(text=TEXT))
        with other.refusing():
            pass
        with other.refusing():
            pass
        assert read(other, "ollama", False)[0] == 200


@both_dialects
@both_shapes
def test_a_connection_reset_before_the_answer(provider: LoopbackProvider, dialect: str, stream: bool) -> None:
    provider.on("small", Reply(text=TEXT, refuse=True))
    with asked(provider, dialect, stream) as connection, pytest.raises(ConnectionResetError):
        connection.getresponse()
    call = only(provider)
    assert (call.status, call.completed, call.client_closed, billed(call)) == (None, False, False, (0, 0))


@both_dialects
def test_a_stream_that_dies_before_the_first_token(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text=TEXT, disconnect_after=0))
    with answered(provider, dialect, True) as response:
        assert response.status == 200
        with pytest.raises(IncompleteRead) as caught:
            response.read()
    assert caught.value.partial == b""
    call = only(provider)
    assert (call.status, call.completed, call.client_closed, billed(call)) == (200, False, False, (0, 0))


@both_dialects
def test_a_stream_that_dies_after_two_chunks_is_billed_for_them(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text=TEXT, disconnect_after=2))
    with answered(provider, dialect, True) as response, pytest.raises(IncompleteRead) as caught:
        response.read()
    assert chunks_in(caught.value.partial) == 2
    call = only(provider)
    assert (call.completed, call.client_closed, billed(call)) == (False, False, (4, 2))


@both_dialects
def test_a_stream_that_dies_before_its_finish(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text=TEXT, disconnect_after=99))
    with answered(provider, dialect, True) as response, pytest.raises(IncompleteRead) as caught:
        response.read()
    assert chunks_in(caught.value.partial) == 4
    assert b'"stop"' not in caught.value.partial
    assert billed(only(provider)) == (4, 4)


@both_dialects
def test_an_answer_that_is_not_streamed_dies(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text=TEXT, disconnect_after=0), Reply(text=TEXT, disconnect_after=1))
    with asked(provider, dialect, False) as connection, pytest.raises(RemoteDisconnected):
        connection.getresponse()
    with answered(provider, dialect, False) as response, pytest.raises(IncompleteRead):
        response.read()
    assert [(call.status, billed(call)) for call in provider.calls] == [(None, (0, 0)), (200, (4, 4))]


# Broken answers


@both_dialects
@pytest.mark.parametrize("after", [0, 2])
def test_an_error_inside_a_200_stream(provider: LoopbackProvider, dialect: str, after: int) -> None:
    provider.on("small", Reply(text=TEXT, error="out of memory", error_after=after))
    status, _, raw = read(provider, dialect, True)
    assert status == 200
    assert chunks_in(raw) == after
    last = json.loads(raw.strip().splitlines()[-1].removeprefix(b"data: "))
    assert (last["error"] if dialect == "ollama" else last["error"]["message"]) == "out of memory"
    call = only(provider)
    assert (call.completed, billed(call)) == (True, (4 if after else 0, after))


@pytest.mark.parametrize(("dialect", "status"), [("ollama", 500), ("openai", 200)])
def test_an_error_in_an_answer_that_is_not_streamed(provider: LoopbackProvider, dialect: str, status: int) -> None:
    provider.on("small", Reply(text=TEXT, error="out of memory", error_after=2))
    seen, _, raw = read(provider, dialect, False)
    assert seen == status
    assert "out of memory" in str(json.loads(raw)["error"])
    assert billed(only(provider)) == (0, 0)


@both_dialects
@both_shapes
@pytest.mark.parametrize("corrupt", ["malformed", "truncated", "empty"])
def test_a_body_that_is_broken_inside(provider: LoopbackProvider, dialect: str, stream: bool, corrupt: Any) -> None:
    provider.on("small", Reply(text=TEXT, corrupt=corrupt))
    status, _, raw = read(provider, dialect, stream)
    assert status == 200
    lines = [line.removeprefix(b"data: ") for line in raw.splitlines() if line]
    parsed = [is_json(line) for line in lines if line != b"[DONE]"]
    if corrupt == "empty":
        assert raw == b""
    else:
        assert parsed.count(False) == 1
    expected = {"empty": (0, 0), "malformed": (4, 4), "truncated": (4, 3 if stream else 4)}
    call = only(provider)
    assert (call.completed, billed(call)) == (True, expected[corrupt])


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


# Silence


@both_dialects
@both_shapes
def test_a_stall_ends_when_the_client_hangs_up(provider: LoopbackProvider, dialect: str, stream: bool) -> None:
    provider.on("small", Reply(text=TEXT, stall=True))
    with asked(provider, dialect, stream):
        provider.wait_until(lambda: provider.open_calls == 1)
    call = only(provider)
    assert (call.status, call.completed, call.client_closed, billed(call)) == (None, False, True, (0, 0))


@both_dialects
def test_a_stream_that_stalls_after_its_headers(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text=TEXT, stall_after=0))
    with answered(provider, dialect, True) as response:
        assert response.status == 200
        assert provider.open_calls == 1
    call = only(provider)
    assert (call.status, call.client_closed, billed(call)) == (200, True, (0, 0))


@both_dialects
def test_a_stream_that_stalls_after_two_chunks_is_billed_for_them(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text=TEXT, stall_after=2))
    with answered(provider, dialect, True) as response:
        lines = [response.readline() for _ in range(2 if dialect == "ollama" else 3)]
        assert chunks_in(b"".join(lines)) == 2
        assert billed(provider.calls[0]) == (4, 2)
        assert provider.open_calls == 1
    call = only(provider)
    assert (call.completed, call.client_closed, billed(call)) == (False, True, (4, 2))


@both_dialects
@pytest.mark.parametrize("fields", [{"stall": True}, {"stall_after": 2}, {}])
def test_a_gate_ends_a_stall(provider: LoopbackProvider, dialect: str, fields: dict[str, Any]) -> None:
    gate = threading.Event()
    provider.on("small", Reply(text=TEXT, gate=gate, **fields))
    with asked(provider, dialect, True) as connection:
        provider.wait_until(lambda: provider.open_calls == 1)
        gate.set()
        assert chunks_in(connection.getresponse().read()) == 4
    call = only(provider)
    assert (call.completed, call.client_closed, billed(call)) == (True, False, (4, 4))


@both_dialects
def test_a_client_that_hangs_up_in_a_delay_is_noticed_at_once(provider: LoopbackProvider, dialect: str) -> None:
    provider.on("small", Reply(text=TEXT, chunk_delay=3600), Reply(text=TEXT, first_token_delay=3600))
    with answered(provider, dialect, True) as response:
        assert chunks_in(response.readline()) == 1
    with answered(provider, dialect, True) as response:
        assert response.status == 200
    provider.wait_idle()
    assert [(call.client_closed, billed(call)) for call in provider.calls] == [(True, (4, 1)), (True, (0, 0))]


@both_dialects
@both_shapes
def test_a_slow_answer_is_whole(provider: LoopbackProvider, dialect: str, stream: bool) -> None:
    provider.on("small", Reply(text=TEXT, first_token_delay=0.001, chunk_delay=0.001))
    status, _, raw = read(provider, dialect, stream)
    assert (status, chunks_in(raw)) == (200, 4)
    assert only(provider).completed


def test_stopping_ends_every_wait() -> None:
    threads = set(threading.enumerate())
    provider = LoopbackProvider()
    with provider:
        provider.on("small", Reply(stall=True), Reply(text=TEXT, chunk_delay=3600), Reply(gate=threading.Event()))
        first = asked(provider, "ollama", False)
        second = asked(provider, "openai", True)
        third = asked(provider, "ollama", True)
        connections = [opened.__enter__() for opened in (first, second, third)]
        provider.wait_until(lambda: provider.open_calls == 3)
    assert set(threading.enumerate()) == threads
    assert provider.open_calls == 0
    assert [call.completed or call.client_closed for call in provider.calls] == [False] * 3
    for connection in connections:
        connection.close()


def test_a_client_that_does_not_read_a_long_answer(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="x" * 20_000_000, chunk_size=1_000_000))
    with answered(provider, "ollama", True) as response:
        assert len(response.read(10)) == 10
    call = only(provider)
    assert (call.completed, call.client_closed) == (False, True)


# Faults beyond chats


def test_faults_of_other_routes(provider: LoopbackProvider) -> None:
    provider.describe("small")
    provider.on_path("/api/tags", Reply(status=500), Reply(corrupt="malformed"), Reply(disconnect_after=0), Reply())
    with closing(HTTPConnection(provider.url.removeprefix("http://"), timeout=10)) as connection:
        statuses: list[int] = []
        bodies: list[bytes] = []
        for _ in range(2):
            connection.request("GET", "/api/tags")
            response = connection.getresponse()
            statuses.append(response.status)
            bodies.append(response.read())
        connection.request("GET", "/api/tags")
        with pytest.raises(RemoteDisconnected):
            connection.getresponse()
    assert statuses == [500, 200]
    assert not is_json(bodies[1])
    assert [probe.status for probe in provider.probes] == [500, 200, None]


def test_a_fault_may_depend_on_the_request(provider: LoopbackProvider) -> None:
    def overloaded_at_first(request: Request) -> Reply:
        return Reply(status=429) if provider.count(request.model) == 1 else Reply(text=TEXT)

    provider.on("small", overloaded_at_first)
    assert [read(provider, "ollama", False)[0] for _ in range(2)] == [429, 200]
