"""What a provider does wrong, and what the caller gets in the end."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tierwise import Cascade, Fleet, ModelSpec, NotRefusal, Price, Single, Tier
from tierwise.errors import (
    AllModelsFailedError,
    ContextOverflowError,
    InvalidRequestError,
    RejectedError,
    UnavailableError,
)
from tierwise.testing.provider import Reply
from tierwise_ollama import OllamaBackend

from .scene import Scene, Way, tool

HELLO = Reply(text="Hello there.")
REFUSED = Reply(text="I'm sorry, but I can't help with that.")
FILTERED = Reply(text="", finish_reason="content_filter")


@pytest.mark.parametrize("status", [400, 422])
def test_fault_04_a_wrong_request_is_not_repeated_and_the_model_is_not_avoided_afterwards(
    scene: Scene, way: Way, status: int
) -> None:
    scene.provider.on("small", Reply(status=status, error="bad request"), HELLO)
    scene.provider.on("large", HELLO)
    router = scene.router(strategy=Single())
    first, second = scene.ask(router, way=way), scene.ask(router, way=way)
    assert scene.models == ["small", "large", "small"]
    assert (first.answer.model, second.answer.model) == ("ollama:large", "ollama:small")
    assert [row.error_type for row in first.rows] == [InvalidRequestError.__name__, None]


def test_fault_06_a_prompt_that_is_too_long_goes_to_a_model_with_more_room(scene: Scene, way: Way) -> None:
    sizes = {"small": 1000, "same": 1000, "large": 9000}
    fleet = scene.fleet("small+same", "large", **{name: {"num_ctx": size} for name, size in sizes.items()})
    for name in sizes:
        scene.provider.on(name, HELLO)
    scene.provider.on("small", Reply(status=400, error_code="context_length_exceeded"))
    got = scene.ask(scene.router(fleet=fleet, strategy=Single()), way=way)
    assert got.answer.model == "ollama:large"
    assert scene.models == ["small", "large"], "a model with no more room than the first is not asked"
    assert got.rows[0].error_type == ContextOverflowError.__name__


def test_fault_06_where_no_model_has_more_room_the_error_says_so(scene: Scene, way: Way) -> None:
    fleet = scene.fleet("small", "large", small={"num_ctx": 1000}, large={"num_ctx": 1000})
    for name in ("small", "large"):
        scene.provider.on(name, Reply(status=400, error_code="context_length_exceeded"))
    got = scene.ask(scene.router(fleet=fleet, strategy=Cascade()), way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert scene.models == ["small"]


@pytest.mark.parametrize("strategy", [Single(), Cascade()], ids=["single", "cascade"])
def test_fault_06_capability_is_checked_again_at_every_hop(scene: Scene, way: Way, strategy: Any) -> None:
    tools = frozenset({"tools"})
    fleet = scene.fleet(
        "small+blind", "large", small={"capabilities": tools}, blind={"capabilities": ()}, large={"capabilities": tools}
    )
    scene.provider.on("small", Reply(status=500))
    scene.provider.on("blind", HELLO)
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(fleet=fleet, strategy=strategy), way=way, tools=[tool("weather")])
    assert got.answer.model == "ollama:large"
    assert scene.models == ["small", "large"], "a model without tools is no fallback for one with tools"


@pytest.mark.parametrize("refusal", [REFUSED, FILTERED], ids=["in words", "by the provider"])
def test_fault_07_a_refusal_is_recorded_and_goes_up_where_the_strategy_says_so(
    scene: Scene, way: Way, refusal: Reply
) -> None:
    scene.provider.on("small", refusal)
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Cascade(NotRefusal())), way=way)
    assert got.answer.text == "Hello there."
    assert (got.rows[0].verdict, got.rows[0].conclusive) == ("reject", True)


@pytest.mark.parametrize("refusal", [REFUSED], ids=["in words"])
def test_fault_07_a_refusal_stands_where_the_strategy_says_so(scene: Scene, way: Way, refusal: Reply) -> None:
    scene.provider.on("small", refusal)
    got = scene.ask(scene.router(strategy=Single()), way=way)
    assert (got.answer.status, got.answer.text) == ("rejected", refusal.text)
    assert [row.verdict for row in got.rows] == ["reject"]


def test_fault_07_a_refusal_by_all_is_no_answer(scene: Scene, way: Way) -> None:
    scene.provider.on("small", REFUSED)
    scene.provider.on("large", Reply(status=500))
    got = scene.ask(scene.router(strategy=Cascade()), way=way)
    assert isinstance(got.error, AllModelsFailedError | RejectedError)
    assert "rejected: NotRefusal" in str(got.error)


def test_fault_08_a_server_that_is_not_there_is_passed_over(scene: Scene, way: Way) -> None:
    scene.provider.on("large", HELLO)
    fleet = Fleet([Tier("small", "mine:small"), Tier("large", ModelSpec("ollama:large", price=Price(1, 1)))])
    router = scene.router(
        fleet=fleet, strategy=Single(), backends={"ollama": scene.backend(), "mine": OllamaBackend("127.0.0.1:9")}
    )
    got = scene.ask(router, way=way)
    scene.unreached = 1
    assert got.answer.model == "ollama:large"
    assert got.rows[0].error_type == UnavailableError.__name__
    assert got.rows[0].cost == 0, "what never reached a provider cost nothing"


@pytest.mark.parametrize("header", ["inf", "nan", "-5", "1e308", "0 JAN 3000000000 0:0 GMT", "soon", "'; DROP TABLE"])
def test_fault_17_a_header_that_makes_no_sense_is_no_defect(scene: Scene, way: Way, header: str) -> None:
    scene.provider.on("small", Reply(status=429, retry_after=header))
    scene.provider.on("large", HELLO)
    got = scene.ask(scene.router(strategy=Single()), way=way)
    assert (got.answer.model, got.rows[0].error_type) == ("ollama:large", "RateLimitError")


@pytest.mark.parametrize("strategy", [Single(), Cascade()], ids=["single", "cascade"])
def test_fault_17_where_all_fail_the_error_lists_every_attempt_with_its_cause(
    scene: Scene, way: Way, strategy: Any
) -> None:
    scene.provider.on("small", Reply(status=500, error="the runner stopped"))
    scene.provider.on("spare", Reply(corrupt="empty"))
    scene.provider.on("large", Reply(text=""))
    got = scene.ask(scene.router("small+spare", "large", strategy=strategy), way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert scene.models == [row.model.removeprefix("ollama:") for row in got.rows] == ["small", "spare", "large"]
    said = str(got.error)
    for model, why in (
        ("small", "the runner stopped"),
        ("spare", "without its last line"),
        ("large", "the answer is empty"),
    ):
        assert f"ollama:{model}" in said
        assert why in said
    assert got.shown.strip() == ""


@pytest.mark.parametrize(
    ("answered", "price"),
    [("small-2026-01-01", 1), ("other", 50), ("stranger", None)],
    ids=["a release of it", "another of the fleet", "one without a price"],
)
def test_fault_33_the_model_that_answered_is_kept_and_priced(
    scene: Scene, way: Way, answered: str, price: int | None
) -> None:
    scene.provider.on("small", Reply(text="Hello there.", model=answered))
    fleet = scene.fleet("small", "other", small={"price": Price(1, 1)}, other={"price": Price(50, 50)})
    got = scene.ask(scene.router(fleet=fleet, strategy=Single()), way=way)
    (row,) = got.rows
    assert (row.model, row.answered_by) == ("ollama:small", answered)
    (call,) = scene.provider.calls
    tokens = call.billed_input + call.billed_output
    assert row.cost == (None if price is None else Decimal(price * tokens) / 1_000_000)
    assert got.answer.receipt.unpriced == (price is None)
