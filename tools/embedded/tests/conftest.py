import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tierwise_embedded import EmbeddedServer
from tierwise_embedded.engine import Cancellation, EngineSettings
from tierwise_embedded.errors import CancelledError, EngineError
from tierwise_embedded.models import EmbeddedModel
from tierwise_embedded.progress import Progress


class ScriptedEngine:
    """An engine without a model: a word is a token, and the answer is given beforehand."""

    def __init__(self, settings: EngineSettings, script: "Script") -> None:
        self.settings = settings
        self.closed = False
        self._script = script

    def render(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> str:
        return " ".join(f"{message['role']}: {message['content']}" for message in messages)

    def tokenize(self, text: str) -> list[int]:
        return [len(word) for word in text.split()]

    def complete(self, request: dict[str, Any], cancellation: Cancellation) -> Iterator[dict[str, Any]]:
        self._script.requests.append(request)
        predicted = 0
        for word in self._script.words:
            if cancellation.cancelled:
                self._script.cancelled += 1
                raise CancelledError("the client is gone")
            if isinstance(word, EngineError):
                raise word
            predicted += 1
            yield {"content": word, "tokens": [predicted], "stop": False}
        counts = {"tokens_evaluated": len(request["prompt"]), "tokens_predicted": predicted}
        yield {"content": "", "tokens": [], "stop": True, "stop_type": "eos", "timings": {}, **counts}

    def embed(self, prompts: Sequence[list[int]], cancellation: Cancellation) -> list[list[float]]:
        return [[0.6, 0.8, 0.0] for _ in prompts]

    def close(self) -> None:
        self.closed = True


class Script:
    """What scripted engines answer, and what they were asked."""

    def __init__(self) -> None:
        self.words: Sequence[str | EngineError] | Iterator[str] = ["Hello", " there"]
        self.requests: list[dict[str, Any]] = []
        self.loaded: list[tuple[str, EngineSettings]] = []
        self.cancelled = 0

    def load(self, model: EmbeddedModel, settings: EngineSettings) -> ScriptedEngine:
        self.loaded.append((model.name, settings))
        return ScriptedEngine(settings, self)


def _no_fetch(model: EmbeddedModel, progress: Progress) -> None:
    progress(model.size, model.size)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def scripted(script: Script) -> Iterator[EmbeddedServer]:
    """A server whose engines follow `script`."""
    with EmbeddedServer(["smollm2:135m", "qwen2.5-coder:0.5b"], loader=script.load, fetcher=_no_fetch) as server:
        yield server


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A server of the two smaller models."""
    with EmbeddedServer() as running:
        yield running


WIRE = Path(__file__).parent / "wire"


@pytest.fixture(scope="session")
def recordings() -> dict[str, dict[str, Any]]:
    """The exchanges recorded from a real Ollama, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(WIRE.glob("*.json"))}
