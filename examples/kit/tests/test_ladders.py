import contextlib
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator

import pytest
from tierwise import Router
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_examples import ladders
from tierwise_examples.ladders import CLOUD, TIERS, Ladder, add_arguments, chosen, embedded, local, named, pointed_at

THREE = Ladder({"small": "ollama:a", "code": "ollama:b", "large": "openai:c"})


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackProvider]:
    """An Ollama on this machine, found as a user's is."""
    with LoopbackProvider() as provider:
        monkeypatch.setenv("OLLAMA_HOST", provider.url)
        monkeypatch.delenv("OLLAMA_BASE_URL", raising=False)
        yield provider


def pull(provider: LoopbackProvider, **billions: float) -> None:
    for name, size in billions.items():
        provider.on(name, Reply(text="yes"))
        provider.describe(name, parameters=int(size * 1e9), context_length=1000)


def parsed(*words: str) -> Namespace:
    parser = ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_a_tier_that_a_ladder_lacks_is_its_highest() -> None:
    two = Ladder({"small": "ollama:a", "code": "ollama:b"})
    assert [two.at(tier) for tier in TIERS] == ["small", "code", "code"]
    assert two.top == "code"
    assert [THREE.at(tier) for tier in TIERS] == list(TIERS)


def test_alone_is_the_top_tier_which_takes_every_step() -> None:
    alone = THREE.alone()
    assert alone.models == {"large": "openai:c"}
    assert {alone.at(tier) for tier in TIERS} == {"large"}


@pytest.mark.parametrize("ask", [lambda: Ladder({"medium": "ollama:a"}), lambda: THREE.at("lage")])
def test_tiers_of_other_names_are_refused(ask: Callable[[], object]) -> None:
    with pytest.raises(UnknownNameError, match="unknown tier"):
        ask()


def test_a_ladder_needs_a_model() -> None:
    with pytest.raises(ConfigError, match="at least one model"):
        Ladder({})


def test_settings_are_for_local_models_alone() -> None:
    fleet = THREE.fleet()
    assert [(m.temperature, m.seed, m.num_ctx) for m in fleet.models] == [(0.0, 1, 2048)] * 2 + [(None, None, None)]
    assert fleet.names == TIERS
    assert fleet.find("ollama:a").context == 2048


def test_every_framework_is_told_where_the_models_are_and_only_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://before:1")
    monkeypatch.delenv("OLLAMA_BASE_URL", raising=False)
    told: dict[str, str] = {}
    with contextlib.suppress(RuntimeError), pointed_at("http://127.0.0.1:2"):
        told |= os.environ
        raise RuntimeError
    assert told["OLLAMA_HOST"] == "http://127.0.0.1:2"
    assert told["OLLAMA_BASE_URL"] == "http://127.0.0.1:2/v1"
    assert os.environ["OLLAMA_HOST"] == "http://before:1"
    assert "OLLAMA_BASE_URL" not in os.environ


def test_models_that_are_named_are_used_with_what_their_server_says_of_them(ollama: LoopbackProvider) -> None:
    pull(ollama, a=1, b=2)
    with chosen(parsed("--small", "ollama:a:latest", "--large", "openai:gpt-5-nano")) as ladder:
        assert ladder.models == {"small": "ollama:a:latest", "large": "openai:gpt-5-nano"}
        assert ladder.url == ollama.url
        assert os.environ["OLLAMA_BASE_URL"] == ollama.openai_url
        small, large = ladder.fleet().models
        assert small.window == 1000
        assert small.can("tools")
        assert large.window is None


def test_models_of_the_cloud_need_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:1")
    with named({"small": "openai:gpt-5-nano"}) as ladder:
        assert ladder.url is None
        assert os.environ["OLLAMA_HOST"] == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("sizes", "models"),
    [
        ({"b": 7, "a": 1}, {"small": "a", "code": "b"}),
        ({"c": 14, "b": 7, "a": 1}, {"small": "a", "code": "b", "large": "c"}),
        ({"d": 30, "c": 14, "b": 7, "a": 1}, {"small": "a", "code": "c", "large": "d"}),
    ],
)
def test_by_default_the_ladder_is_what_the_machines_ollama_has(
    ollama: LoopbackProvider, sizes: dict[str, float], models: dict[str, str]
) -> None:
    pull(ollama, **sizes)
    with chosen(parsed()) as ladder:
        assert ladder.models == {tier: f"ollama:{name}" for tier, name in models.items()}
        reply = Router(ladder.fleet()).run("Is this an answer?", max_tier="small")
        assert reply.text == "yes"
    assert ollama.calls[0].options == {"temperature": 0.0, "seed": 1, "num_ctx": 2048}


def test_where_there_are_no_models_the_error_says_how_to_get_some(
    ollama: LoopbackProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(ollama, lonely=1)
    monkeypatch.setitem(sys.modules, "tierwise_embedded", None)
    with pytest.raises(ConfigError, match="ollama pull qwen"), local():
        pass


def _nothing(model: object) -> None:
    return None


def _something(model: object) -> str:
    return "a file"


def test_no_gigabyte_is_fetched_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    import tierwise_embedded

    monkeypatch.setattr(tierwise_embedded, "locate", _nothing)
    assert ladders._fetched() == 2
    monkeypatch.setattr(tierwise_embedded, "locate", _something)
    assert ladders._fetched() == 3


def test_the_clouds_models_have_public_prices() -> None:
    from tierwise.fleet.pricing import Pricing

    fleet = CLOUD.fleet()
    prices = [Pricing(fleet).price(model) for model in fleet.models]
    assert all(price is not None and not price.is_free for price in prices)
    assert [p.output for p in prices if p] == sorted(p.output for p in prices if p)


@pytest.mark.models
def test_the_models_that_the_repository_brings_along_answer_the_same_again() -> None:
    with embedded(2) as ladder:
        assert ladder.models == {"small": "ollama:smollm2:135m", "code": "ollama:qwen2.5-coder:0.5b"}
        small, code = ladder.fleet().models
        assert not small.can("tools")
        assert code.can("tools")
        router = Router(ladder.fleet())
        first, second = (router.run("Name a colour.", max_output_tokens=8, max_tier="small") for _ in "12")
    assert first.text == second.text
