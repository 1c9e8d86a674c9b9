"""Anthropic's dialect, which counts cached tokens apart and spreads its counts over a stream."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from asking import CANARY, Ask
from tierwise import Message, Tool, ToolCall
from tierwise.errors import BadResponseError
from tierwise.fleet import Usage
from tierwise_litellm import LiteLLMBackend

COUNTS = {"input_tokens": 10, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 10}
CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Ask the tool.", "signature": "signed"},
    {"type": "text", "text": "Let me look."},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
]
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-7-20260401",
    "content": CONTENT,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {**COUNTS, "output_tokens": 25},
}
DELTAS: list[list[dict[str, Any]]] = [
    [{"type": "thinking_delta", "thinking": "Ask the tool."}, {"type": "signature_delta", "signature": "signed"}],
    [{"type": "text_delta", "text": "Let me"}, {"type": "text_delta", "text": " look."}],
    [
        {"type": "input_json_delta", "partial_json": '{"city":'},
        {"type": "input_json_delta", "partial_json": ' "Oslo"}'},
    ],
]
EMPTY: dict[str, Any] = {"thinking": "", "text": "", "signature": "", "input": {}}


def events(*, overloaded: bool) -> Iterator[dict[str, Any]]:
    started: dict[str, Any] = {**ANSWER, "content": [], "stop_reason": None, "usage": {**COUNTS, "output_tokens": 1}}
    yield {"type": "message_start", "message": started}
    if overloaded:
        yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        return
    for index, (block, deltas) in enumerate(zip(CONTENT, DELTAS, strict=True)):
        begun = {key: EMPTY.get(key, value) for key, value in block.items()}
        yield {"type": "content_block_start", "index": index, "content_block": begun}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = {"stop_reason": "tool_use", "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 25}}
    yield {"type": "message_stop"}


class Anthropic(ThreadingHTTPServer):
    """Answers every request alike, and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.overloaded = False
        self.asked: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append(body)
        stream = bool(body.get("stream"))
        lines = (f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events(overloaded=server.overloaded))
        data = "".join(lines) if stream else json.dumps(ANSWER)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if stream else "application/json")
        self.send_header("Content-Length", str(len(data.encode())))
        self.end_headers()
        self.wfile.write(data.encode())

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name http.server gives it
        pass


@pytest.fixture
def server() -> Iterator[Anthropic]:
    with Anthropic() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def claude(server: Anthropic, ask: Ask) -> Ask:
    options = {"api_base": f"http://127.0.0.1:{server.server_port}", "api_key": CANARY}
    return Ask(LiteLLMBackend(timeout=10, providers={"anthropic": options}), ask.way)


async def test_an_answer(claude: Ask) -> None:
    outcome = await claude("anthropic:claude-opus-4-7", tools=[Tool("weather")])
    assert (outcome.text, outcome.thinking) == ("Let me look.", "Ask the tool.")
    assert outcome.tool_calls == (ToolCall("weather", {"city": "Oslo"}, id="toolu_1"),)
    assert (outcome.finish_reason, outcome.model) == ("tool_calls", "claude-opus-4-7-20260401")
    usage = outcome.usage
    assert usage is not None
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens)
    assert (counts, usage.estimated) == ((100, 25, 80, 10), False)
    assert usage != Usage()


def test_each_event_loop_takes_its_connections_with_it(claude: Ask) -> None:
    for _ in range(3):
        assert asyncio.run(claude("anthropic:claude-opus-4-7")).text == "Let me look."
        gc.collect()


async def test_its_own_thoughts_and_cache_markers_go_back_to_it(server: Anthropic, claude: Ask) -> None:
    call = ToolCall("weather", {"city": "Oslo"}, id="toolu_1")
    conversation = [
        Message("user", "Weather?", cache=True),
        Message("assistant", thinking="Ask.", signature="signed", tool_calls=(call,), origin="anthropic"),
        Message("tool", "rain", tool_call_id="toolu_1"),
    ]
    await claude("anthropic:claude-opus-4-7", conversation, tools=[Tool("weather")])
    asked, thought, _ = server.asked[0]["messages"]
    assert asked["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert thought["content"][0] == {"type": "thinking", "thinking": "Ask.", "signature": "signed"}


@pytest.mark.parametrize("ask", ["open", "aopen"], indirect=True)
async def test_an_overload_inside_a_stream_is_a_failure(server: Anthropic, claude: Ask) -> None:
    server.overloaded = True
    with pytest.raises(BadResponseError, match="Overloaded"):
        await claude("anthropic:claude-opus-4-7")
    assert len(server.asked) == 1
