"""What a local server does that a cloud's does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tierwise import Cascade, Single
from tierwise.errors import AllModelsFailedError
from tierwise.testing.provider import LoopbackProvider, Reply, Usage

from .scene import STREAMED, Scene, Way, tool, yes

HELLO = Reply(text="Hello there.")
LONG = "The quick brown fox. " * 1_000


@pytest.fixture
def old(tmp_path: Path) -> Iterator[LoopbackProvider]:
    """A server from before 0.12.6, which cuts a prompt that does not fit without a word."""
    with LoopbackProvider(version="0.11.0") as running:
        yield running


def test_fault_34_a_prompt_that_a_server_refuses_is_asked_of_a_larger_window(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(status=400, error_code="context_length_exceeded"))
    scene.provider.on("large", HELLO)
    fleet = scene.fleet("small", "large", small={"num_ctx": 2048})
    got = scene.ask(scene.router(fleet=fleet, strategy=Single()), way=way)
    assert got.answer.model == "ollama:large"
    assert "num_ctx=2048" in (got.rows[0].error or "")
    body = scene.provider.calls[0].body
    assert (body["truncate"], body["shift"]) == (False, False), "the server is told not to cut"


def test_fault_34_a_prompt_that_an_old_server_would_cut_is_not_sent(
    scene: Scene, way: Way, old: LoopbackProvider
) -> None:
    scene.provider, new = old, scene.provider
    old.on("small", HELLO)
    new.on("large", HELLO)
    old.describe("small", context_length=2048)
    router = scene.router(strategy=Single())
    got = scene.ask(router, LONG, way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert "num_ctx=2048" in (got.rows[0].error or "")
    assert old.count() == 0
    scene.unreached = len(got.rows)


def test_fault_34_a_prompt_that_an_old_server_has_cut_is_told_by_its_count(
    scene: Scene, way: Way, old: LoopbackProvider
) -> None:
    scene.provider = old
    old.on("small", Reply(text="Hello there.", usage=Usage(input=300, output=2)))
    fleet = scene.fleet("small", small={"num_ctx": 1024})
    got = scene.ask(scene.router(fleet=fleet, strategy=Single()), "x y " * 1000, way=way)
    assert got.error is not None
    assert "the server read 300 tokens of a prompt of about" in str(got.error)
    assert got.rows[0].cost != 0, "something was produced, and it is not taken for free"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(status=503), "maximum pending requests exceeded"),
        (Reply(status=500), "model runner has unexpectedly stopped"),
    ],
    ids=["queue full", "runner died"],
)
def test_fault_35_a_server_that_cannot_is_passed_over_with_its_reason(
    scene: Scene, way: Way, reply: Reply, why: str
) -> None:
    scene.provider.on("small", reply)
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Single()), way=way)
    assert got.answer.model == "ollama:large"
    assert why in (got.rows[0].error or "")
    assert why in str(got.answer.receipt)


def test_fault_35_a_model_that_is_not_pulled_is_passed_over_with_the_command(scene: Scene, way: Way) -> None:
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Single()), way=way)
    scene.unreached = 1
    assert got.answer.model == "ollama:large"
    assert "`ollama pull small`" in (got.rows[0].error or "")


def test_fault_35_where_it_is_asked_for_the_model_is_pulled(scene: Scene, way: Way) -> None:
    scene.provider.on("small", HELLO)
    scene.provider.describe("small", pulled=False)
    got = scene.ask(scene.router(strategy=Single(), backends={"ollama": scene.backend(pull="missing")}), way=way)
    assert got.answer.model == "ollama:small"


def test_fault_35_an_absent_server_says_how_to_start_it(scene: Scene, way: Way) -> None:
    router = scene.router(strategy=Single())
    with scene.provider.refusing():
        got = scene.ask(router, way=way)
    scene.unreached = 2
    assert isinstance(got.error, AllModelsFailedError)
    assert "`ollama serve`" in str(got.error)


def test_fault_35_a_cold_load_is_waited_for(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text="Hello there.", first_token_delay=1.2))
    backend = scene.backend(timeouts={"idle": 1.0})
    got = scene.ask(scene.router(strategy=Single(), backends={"ollama": backend}), way=way)
    assert got.answer.model == "ollama:small"


def test_fault_36_a_model_without_tools_is_never_given_any(scene: Scene, way: Way) -> None:
    scene.provider.on("small", HELLO)
    scene.provider.describe("small", capabilities=["completion"])
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Single()), way=way, tools=[tool("weather")])
    assert got.answer.model == "ollama:large"
    assert scene.models == ["large"]
    assert "has no tools" in (got.rows[0].error or "")
    scene.unreached = 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(thinking="The user greets me.", text="Hello there."),
        Reply(text="<think>The user greets me.</think>\n\nHello there.", chunk_size=3),
    ],
    ids=["apart", "in the text"],
)
def test_fault_36_a_models_thoughts_are_not_its_answer(scene: Scene, way: Way, reply: Reply) -> None:
    scene.provider.on("small", reply)
    fleet = scene.fleet("small", small={"reasoning_effort": "on"})
    got = scene.ask(scene.router(fleet=fleet, strategy=Single()), way=way)
    assert got.answer.text.strip() == "Hello there."
    assert way not in STREAMED or got.shown.strip() == "Hello there."
    assert got.answer.outcome.thinking.strip() == "The user greets me."


def test_fault_36_thoughts_alone_are_no_answer(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text="<think>I wonder. And I wonder"))
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Cascade(yes)), way=way)
    assert (got.answer.text, got.answer.model) == ("Hello there.", "ollama:large")
