from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tierwise.attempt import Attempt
from tierwise.errors import ModelNotFoundError, TrustError, UnavailableError
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE, Price
from tierwise.router import Router
from tierwise.task import Task
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_ollama import OllamaBackend, PullProgress
from tierwise_ollama.catalog import Catalog
from tierwise_ollama.facts import ModelFacts, ServerFacts
from tierwise_ollama.http import Http
from tierwise_ollama.timeouts import Patience, Timeouts

if TYPE_CHECKING:
    from .conftest import Replay
else:
    Replay = Any

ATTEMPT = Attempt(Task("Say hello."), ModelSpec("ollama:m"))
REMOTE = {"capabilities": ["completion"], "remote_model": "gpt-oss:120b", "remote_host": "https://ollama.com:443"}


def test_the_models_that_a_server_has(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.describe("chat:4b", capabilities=["completion", "tools", "vision"], context_length=32_768)
    provider.describe("embed", capabilities=["embedding"], context_length=512)
    chat, embed = backend.models()
    assert (chat.id, chat.window, chat.trust, chat.price) == ("ollama:chat:4b", 32_768, "local", FREE)
    assert chat.capabilities == {"tools", "vision", "json_schema", "logprobs"}
    assert embed.capabilities == {"embeddings"}
    assert {(m.parameters, m.quantization) for m in backend.installed()} == {(135_000_000, "Q4_1")}


def test_no_server_is_an_error_and_not_an_empty_list(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    with provider.refusing(), pytest.raises(UnavailableError):
        backend.models()


def test_what_is_known_is_not_asked_again(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello"))
    for _ in range(3):
        backend.call(ATTEMPT)
    assert [p.path for p in provider.probes] == ["/api/version", "/api/tags", "/api/show"]


async def test_a_model_that_was_replaced_is_read_anew(replay: Replay) -> None:
    now = 0.0
    catalog = Catalog(Http(replay.url), clock=lambda: now)
    patience = Patience(Timeouts(), None, replay.url)
    replay.on("/api/tags", {"models": [{"name": "m:latest", "digest": "aaa"}]})
    assert (await catalog.model("m", patience)).can("vision") is False
    replay.on("/api/show", {"capabilities": ["completion", "vision"]})
    now = 61.0
    assert (await catalog.model("m", patience)).can("vision") is False
    replay.on("/api/tags", {"models": [{"name": "m:latest", "digest": "bbb"}]})
    now = 122.0
    assert (await catalog.model("m", patience)).can("vision") is True


@pytest.mark.parametrize(
    ("version", "guards", "logprobs"),
    [
        ("0.33.0-rc2", True, True),
        ("0.12.11", True, True),
        ("0.12.10", True, False),
        ("0.12.6", True, False),
        ("0.12.5", False, False),
        ("0.9.12", False, False),
        ("1.0.0", True, True),
        ("0.0.0", True, True),
        ("", True, True),
    ],
)
def test_what_a_version_can_do(version: str, guards: bool, logprobs: bool) -> None:
    server = ServerFacts(version)
    assert (server.guards_context, server.gives_logprobs) == (guards, logprobs)


def test_what_an_old_server_does_not_say_is_not_known() -> None:
    facts = ModelFacts.of("m", {"details": {}})
    assert (facts.capabilities, facts.window, facts.parameters, facts.remote) == (None, None, None, None)
    assert facts.can("tools") is None
    assert facts.known_as(ServerFacts("0.6.0")) is None


@pytest.mark.parametrize(
    ("values", "effort", "sent"),
    [
        ([False, True], "high", True),
        ([False, True], None, False),
        (["low", "medium", "high"], "high", "high"),
        (["low", "medium", "high"], None, None),
    ],
)
def test_a_model_is_told_to_think_in_words_that_it_knows(
    replay: Replay, values: list[Any], effort: str | None, sent: Any
) -> None:
    replay.on("/api/show", {"capabilities": ["completion", "thinking"], "thinking": {"values": values}})
    replay.recorded("07_chat_stream")
    OllamaBackend(replay.url).call(Attempt(ATTEMPT.task, ModelSpec("ollama:m", reasoning_effort=effort)))
    assert replay.bodies["/api/chat"].get("think") == sent


class TestPull:
    def test_a_missing_model_is_pulled_on_request(self, provider: LoopbackProvider) -> None:
        told: list[PullProgress] = []
        provider.on("m", Reply(text="Hello"))
        provider.describe("m", pulled=False)
        backend = OllamaBackend(provider.url, pull="missing", on_progress=told.append)
        assert backend.call(ATTEMPT).text == "Hello"
        assert [p.completed for p in told if p.total] == [None, 500, 1000]
        assert told[-1] == PullProgress("m", "success")

    def test_and_not_without_it(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(text="Hello"))
        provider.describe("m", pulled=False)
        with pytest.raises(ModelNotFoundError, match="`ollama pull m`"):
            backend.call(ATTEMPT)
        backend.pull("m")
        assert backend.call(ATTEMPT).text == "Hello"

    def test_a_pull_that_fails_under_200_fails(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.describe("m", pulled=False, pull_error="max retries exceeded: no space left on device")
        with pytest.raises(UnavailableError, match=r"could not pull 'm': .*no space left"):
            backend.pull("m")

    def test_a_model_that_does_not_exist(self, backend: OllamaBackend) -> None:
        with pytest.raises(ModelNotFoundError, match="could not pull 'nope'"):
            backend.pull("nope")

    def test_only_success_is_success(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.describe("m", pulled=False)
        provider.on_path("/api/pull", Reply(corrupt="empty"))
        with pytest.raises(UnavailableError, match="no word"):
            backend.pull("m")

    def test_a_recorded_failure(self, replay: Replay) -> None:
        replay.recorded("60_pull_stream")
        with pytest.raises(UnavailableError, match="no such host"):
            OllamaBackend(replay.url).pull("library/nope:1b")


class TestCloudModels:
    """A name of the user's own may stand for a model in Ollama's cloud."""

    def test_one_that_passed_for_local_is_sent_nothing(self, replay: Replay) -> None:
        replay.on("/api/show", REMOTE)
        router = Router.simple(small="ollama:m", large="ollama:l", backends={"ollama": OllamaBackend(replay.url)})
        with pytest.raises(TrustError, match=r"ollama:m is no local model.*gpt-oss:120b at https://ollama.com"):
            router.run("A secret", trust="local")
        assert "/api/chat" not in replay.bodies

    def test_one_that_is_said_to_be_in_the_cloud_is_called(self, replay: Replay) -> None:
        replay.on("/api/show", REMOTE)
        replay.recorded("07_chat_stream")
        model = ModelSpec("ollama:m", trust="any", price=Price(1, 2))
        backend = OllamaBackend(replay.url)
        assert backend.call(Attempt(ATTEMPT.task, model)).text.startswith("Hello")
        assert (backend.trust(model), backend.price(model)) == (None, None)

    def test_it_is_listed_without_price_and_trust(self, replay: Replay) -> None:
        replay.on("/api/tags", {"models": [{"name": "mine:latest", "digest": "aaa"}]})
        replay.on("/api/show", REMOTE)
        (model,) = OllamaBackend(replay.url).models()
        assert (model.trust, model.price) == (None, None)
