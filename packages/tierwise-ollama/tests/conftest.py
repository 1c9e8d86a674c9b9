from __future__ import annotations

import gc
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tierwise.testing.provider import LoopbackProvider
from tierwise_ollama import OllamaBackend

WIRE = Path(__file__).parent / "wire"


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """No test is sent to a server of the machine's own, and none leaves a thread, a socket or a task behind."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    threads = set(threading.enumerate())
    yield
    gc.collect()
    assert set(threading.enumerate()) <= threads


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        yield running


@pytest.fixture
def backend(provider: LoopbackProvider) -> OllamaBackend:
    return OllamaBackend(provider.url)


class Replay:
    """A server that gives recorded answers, one for each path, and keeps what it was sent."""

    def __init__(self) -> None:
        self.bodies: dict[str, Any] = {}
        self._answers: dict[str, tuple[int, str, bytes]] = {}
        self.on("/api/version", {"version": "0.33.0"})
        self.on("/api/tags", {"models": []})
        self.on("/api/show", {"capabilities": ["completion", "tools"], "model_info": {}})
        replay = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                replay.bodies[self.path] = json.loads(sent) if sent else None
                status, kind, body = replay._answers[self.path]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def on(self, path: str, body: Any, *, status: int = 200) -> None:
        self._answers[path] = (status, "application/json", json.dumps(body).encode())

    def recorded(self, name: str, path: str | None = None) -> None:
        """Answers as a real server did."""
        exchange = json.loads((WIRE / f"{name}.json").read_text())
        kind = exchange["headers"].get("Content-Type", "text/plain")
        answer = (exchange["status"], kind, exchange["body"].encode())
        self._answers[path or exchange["request"]["path"]] = answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def replay() -> Iterator[Replay]:
    server = Replay()
    yield server
    server.close()
