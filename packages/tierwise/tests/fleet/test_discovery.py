"""What this machine can use: a local server over real HTTP, and keys by their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tierwise import Fleet, Router
from tierwise.backends.registry import installed
from tierwise.errors import ConfigError
from tierwise.fleet import FREE, ModelSpec
from tierwise.fleet.discovery import Discovery, LocalModel, discover, ladder_of
from tierwise.testing.provider import LoopbackProvider, Reply

BILLION = 1_000_000_000

pytest.importorskip("tierwise_ollama")


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        yield running


def found(provider: LoopbackProvider, **keys: str) -> Discovery:
    return discover(ollama_host=provider.url, environ=keys)


def local(name: str, billions: float | None, **settings: Any) -> LocalModel:
    fields: dict[str, Any] = {"price": FREE, "trust": "local", "capabilities": frozenset({"json_schema"}), **settings}
    parameters = None if billions is None else int(billions * BILLION)
    return LocalModel(ModelSpec(f"ollama:{name}", **fields), parameters=parameters)


def ladder(*models: LocalModel) -> dict[str, list[str]]:
    return {t.name: [m.name for m in t.models] for t in ladder_of(models)}


def test_tiers_by_size_with_the_largest_first() -> None:
    models = [local("a", 4), local("b", 8), local("c", 32), local("d", 70), local("e", 120), local("f", 0.6)]
    assert ladder(*models) == {"small": ["b", "a", "f"], "medium": ["d", "c"], "large": ["e"]}


def test_few_models_make_few_tiers() -> None:
    assert ladder(local("a", 4), local("b", 32)) == {"small": ["a"], "medium": ["b"]}
    assert ladder(local("a", 4)) == {"small": ["a"]}
    assert ladder(local("a", 4), local("b", 4)) == {"small": ["a", "b"]}
    assert ladder() == {}


def test_models_of_one_size_still_make_a_ladder() -> None:
    assert ladder(local("a", 0.6), local("b", 4), local("c", 1.7)) == {"small": ["c", "a"], "medium": ["b"]}
    assert ladder(local("a", 32), local("b", 70)) == {"small": ["a"], "medium": ["b"]}


def test_what_cannot_answer_or_is_not_local_is_left_out() -> None:
    models = [
        local("nomic-embed-text", 0.1, capabilities=frozenset({"embeddings"})),
        local("big:cloud", 480, price=None, trust=None),
        local("mystery", None),
        local("qwen3:4b", 4),
    ]
    assert ladder(*models) == {"small": ["qwen3:4b"]}


def test_finds_what_the_server_has(provider: LoopbackProvider) -> None:
    provider.describe("qwen3:4b", parameters=4 * BILLION, context_length=40_960)
    provider.describe("qwen3:32b", parameters=32 * BILLION)
    provider.describe("nomic-embed-text", capabilities=("embedding",), parameters=137_000_000)
    discovery = found(provider)
    assert discovery.problems == ()
    assert {t.name: [m.id for m in t.models] for t in discovery.fleet.ladder} == {
        "small": ["ollama:qwen3:4b"],
        "medium": ["ollama:qwen3:32b"],
    }
    small = discovery.fleet.find("ollama:qwen3:4b")
    assert small.window == 40_960
    assert small.can("tools")
    assert small.trust == "local"


def test_the_fleet_that_is_found_answers(provider: LoopbackProvider) -> None:
    provider.describe("qwen3:4b", parameters=4 * BILLION)
    provider.on("qwen3:4b", Reply(text="four"))
    fleet = Fleet.discover(ollama_host=provider.url, environ={})
    backend = installed("ollama", host=provider.url)
    assert Router(fleet, backends={"ollama": backend}).run("2 + 2?").text == "four"


def test_an_ollama_that_is_not_there_says_how_to_start_it(provider: LoopbackProvider) -> None:
    with provider.refusing():
        discovery = found(provider)
    (problem,) = discovery.problems
    assert "ollama serve" in problem
    with pytest.raises(ConfigError, match="no local model was found: no Ollama answers"):
        _ = discovery.fleet


def test_an_ollama_without_models_says_how_to_pull_one(provider: LoopbackProvider) -> None:
    provider.describe("nomic-embed-text", capabilities=("embedding",))
    (problem,) = found(provider).problems
    assert "ollama pull" in problem


def test_cloud_keys_are_named_and_no_cloud_model_is_used(provider: LoopbackProvider) -> None:
    provider.describe("qwen3:4b", parameters=4 * BILLION)
    secret = "sk-never-shown"
    discovery = found(provider, ANTHROPIC_API_KEY=secret, GOOGLE_API_KEY=secret, OPENAI_API_KEY="")
    assert [(p.prefix, p.variable) for p in discovery.available] == [
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("gemini", "GOOGLE_API_KEY"),
    ]
    assert {m.provider for m in discovery.fleet.models} == {"ollama"}
    assert secret not in repr(discovery)
