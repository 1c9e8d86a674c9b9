"""The faults of cloud providers, in OpenAI's dialect: the lines of the fault suite that differ from a local model's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scene import CANARY, STREAMED, WAYS, Scene, Way, tool
from tierwise import Cascade, CircuitBreaker, ModelSpec, NotRefusal, Price, Retry, Single
from tierwise.backends import Backend
from tierwise.errors import (
    AllModelsFailedError,
    BadResponseError,
    CallTimeoutError,
    ContextOverflowError,
    InvalidRequestError,
    StreamBrokenError,
    UnavailableError,
)
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_litellm import LiteLLMBackend

TEXT = "One two three four."
LARGE = Reply(text="Large.")


class Cloud(Scene):
    """The same scene, and LiteLLM calls the provider."""

    def backend(self, **options: Any) -> Backend:
        openai = {"api_base": self.provider.openai_url, "api_key": CANARY}
        return LiteLLMBackend(providers={"openai": openai}, **({"timeout": 10} | options))


@pytest.fixture
def scene(
    provider: LoopbackProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Scene]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = tmp_path / "kept"
    folder.mkdir()
    made = Cloud(provider, folder, prefix="openai")
    with caplog.at_level(logging.DEBUG, logger="tierwise"):
        yield made
    made.check(caplog.text)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.fixture(params=STREAMED)
def streamed(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.mark.parametrize("status", [400, 422])
def test_fault_04_a_wrong_request_is_sent_once(scene: Scene, way: Way, status: int) -> None:
    scene.provider.on("small", Reply(status=status, error="bad request"))
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Single()), way=way)
    assert (scene.models, got.rows[0].error_type) == (["small", "large"], InvalidRequestError.__name__)


def test_fault_06_a_prompt_that_is_too_long_goes_to_a_model_with_more_room(scene: Scene, way: Way) -> None:
    fleet = scene.fleet("small+same", "large", small={"window": 1000}, same={"window": 1000})
    scene.provider.on("small", Reply(status=400, error_code="context_length_exceeded"))
    scene.provider.on("same", LARGE)
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(fleet=fleet, strategy=Single()), way=way)
    assert scene.models == ["small", "large"]
    assert got.rows[0].error_type == ContextOverflowError.__name__


def test_fault_07_a_filtered_answer_goes_up(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text="I", finish_reason="content_filter"))
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Cascade(NotRefusal())), way=way)
    assert (got.answer.text, got.rows[0].verdict) == ("Large.", "reject")


def test_fault_08_a_provider_that_is_not_there_costs_nothing(scene: Scene, way: Way) -> None:
    router = scene.router(strategy=Single())
    with scene.provider.refusing():
        got = scene.ask(router, way=way)
    scene.unreached = 2
    assert isinstance(got.error, AllModelsFailedError)
    assert [row.error_type for row in got.rows] == [UnavailableError.__name__] * 2


@pytest.mark.parametrize(
    ("reply", "phase"),
    [(Reply(stall=True), "first_token"), (Reply(text=TEXT, stall_after=2), "idle")],
    ids=["no answer", "no more"],
)
def test_fault_09_a_silent_provider_is_left(scene: Scene, streamed: Way, reply: Reply, phase: str) -> None:
    scene.provider.on("small", reply)
    backend = scene.backend(timeout=0.4)
    got = scene.ask(scene.router("small", strategy=Single(), backends={"openai": backend}), way=streamed)
    cause = got.error.__cause__ if phase == "idle" and got.error else got.error
    if isinstance(cause, AllModelsFailedError):
        cause = cause.outcomes[0].error
    assert isinstance(cause, CallTimeoutError)
    assert cause.phase == phase


@pytest.mark.parametrize(
    "broken", [Reply(text=TEXT, disconnect_after=0), Reply(text=TEXT, error_after=0, error="out of memory")]
)
def test_fault_10_a_stream_that_dies_at_once_falls_back(scene: Scene, streamed: Way, broken: Reply) -> None:
    scene.provider.on("small", broken)
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Single()), way=streamed)
    assert (got.shown, got.answer.model) == ("Large.", "openai:large")


@pytest.mark.parametrize(
    "broken", [Reply(text=TEXT, disconnect_after=2), Reply(text=TEXT, error_after=2, error="out of memory")]
)
def test_fault_11_a_stream_that_dies_later_is_an_error_with_its_text(
    scene: Scene, streamed: Way, broken: Reply
) -> None:
    scene.provider.on("small", broken)
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Single()), way=streamed)
    assert isinstance(got.error, StreamBrokenError)
    assert (got.error.partial, got.shown, scene.models) == ("One two", "One two", ["small"])
    assert got.rows[0].cost


def test_fault_12_an_error_inside_a_stream_is_a_failure(scene: Scene, streamed: Way) -> None:
    scene.provider.on("small", Reply(text=TEXT, error_after=99, error="the engine died"))
    got = scene.ask(scene.router("small", strategy=Single()), way=streamed)
    assert got.error is not None
    assert got.rows[0].error_type == BadResponseError.__name__


@pytest.mark.parametrize("position", ["after", "with", "before"])
def test_fault_13_counts_are_read_wherever_they_come(scene: Scene, way: Way, position: Any) -> None:
    scene.provider.on("small", Reply(text=TEXT, usage_position=position))
    got = scene.ask(scene.router(strategy=Single()), way=way)
    (call,) = scene.provider.calls
    usage = got.rows[0].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (call.billed_input, call.billed_output)
    assert not usage.estimated


def test_fault_14_counts_that_are_missing_are_estimated(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(text=TEXT, usage_position="missing"))
    got = scene.ask(scene.router(strategy=Single()), way=way)
    usage = got.rows[0].usage
    assert usage is not None
    assert usage.estimated
    assert got.rows[0].cost


@pytest.mark.parametrize("corrupt", ["malformed", "truncated", "empty"])
def test_fault_15_what_is_no_answer_is_a_failure(scene: Scene, way: Way, corrupt: Any) -> None:
    scene.provider.on("small", Reply(text=TEXT, corrupt=corrupt))
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Single()), way=way)
    assert got.rows[0].error_type is not None
    assert isinstance(got.error, StreamBrokenError) or got.answer.text == "Large."


async def test_fault_16_cancelling_closes_the_call(scene: Scene) -> None:
    scene.provider.on("small", Reply(stall=True))
    running = asyncio.create_task(scene.router(strategy=Single()).arun("q"))
    await asyncio.to_thread(scene.provider.wait_until, lambda: scene.provider.open_calls == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.to_thread(scene.provider.wait_idle)
    assert [call.client_closed for call in scene.provider.calls] == [True]


def test_fault_17_where_all_fail_each_cause_is_told(scene: Scene, way: Way) -> None:
    scene.provider.on("small", Reply(status=500, error="the engine died"))
    scene.provider.on("large", Reply(status=401, error=f"Incorrect API key provided: {CANARY}"))
    got = scene.ask(scene.router(strategy=Cascade()), way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert "the engine died" in str(got.error)
    assert "Incorrect API key provided: ***" in str(got.error)


@pytest.mark.parametrize(("answered", "price"), [("small-2026-01-01", 1), ("stranger", None)])
def test_fault_33_the_model_that_answered_is_kept(scene: Scene, way: Way, answered: str, price: int | None) -> None:
    scene.provider.on("small", Reply(text=TEXT, model=answered))
    got = scene.ask(scene.router(strategy=Single()), way=way)
    (row,) = got.rows
    assert (row.answered_by, row.cost is None) == (answered, price is None)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(st.characters(exclude_categories=()), max_size=100))
def test_fault_37_any_prompt_is_answered_or_refused_by_name(scene: Scene, prompt: str) -> None:
    scene.provider.on("small", Reply(text="Hello there."))
    before = scene.provider.count()
    got = scene.ask(scene.router("small", strategy=Single()), prompt)
    scene.unreached += 1 - (scene.provider.count() - before)
    assert got.reply is not None or isinstance(got.error, AllModelsFailedError)


@pytest.mark.parametrize("arguments", ["{" * 5000, '{"a":' * 5000 + "1" + "}" * 5000, '{"city": NaN}', "[1]", "nope"])
def test_fault_37_odd_arguments_of_a_tool_are_rejected(scene: Scene, way: Way, arguments: str) -> None:
    scene.provider.on("small", Reply(tool_calls=[Call("weather", arguments)]))
    scene.provider.on("large", LARGE)
    got = scene.ask(scene.router(strategy=Cascade()), way=way, tools=[tool("weather", "city")])
    assert got.answer.text == "Large."
    assert got.rows[0].verdict == "reject" or got.rows[0].error_type == BadResponseError.__name__


@pytest.mark.parametrize("where", ["api_key", "extra_headers"])
def test_fault_41_a_key_with_a_line_break_injects_no_header(scene: Scene, way: Way, where: str) -> None:
    hostile = f"{CANARY}\r\nX-Injected: yes"
    options: dict[str, Any] = {"api_base": scene.provider.openai_url, "api_key": CANARY}
    options |= {"api_key": hostile} if where == "api_key" else {"extra_headers": {"x-api-key": hostile}}
    scene.provider.on("small", LARGE)
    fleet = scene.fleet("small", small={"options": options})
    got = scene.ask(scene.router(fleet=fleet, strategy=Single()), way=way)
    scene.unreached = 1
    assert isinstance(got.error, AllModelsFailedError)
    assert scene.provider.count() == 0


def test_fault_41_options_are_not_shown(scene: Scene) -> None:
    spec = ModelSpec("openai:small", options={"api_key": CANARY}, price=Price(1, 1))
    scene.said = [repr(spec), repr(scene.backend())]


def test_fault_05_a_refused_key_of_two_closes_its_own_way_alone(scene: Scene, way: Way) -> None:
    other = "sk-other-0123456789abcdef"
    scene.keys.add(other)
    fleet = scene.fleet("small+spare", "large", large={"options": {"api_key": other}})
    scene.provider.on("small", Reply(status=401, error="no such key"))
    scene.provider.on("large", LARGE)
    router = scene.router(fleet=fleet, strategy=Single(), limits=[scene.budget, CircuitBreaker()])
    first, second = scene.ask(router, way=way), scene.ask(router, way=way)
    assert first.answer.model == second.answer.model == "openai:large"
    assert scene.models == ["small", "large", "large"]
    assert [row.error_type for row in second.rows] == ["CircuitOpenError", "CircuitOpenError", None]


def test_fault_23_the_clients_beneath_repeat_nothing_by_themselves(scene: Scene, way: Way) -> None:
    for name in ("small", "large"):
        scene.provider.on(name, Reply(status=503))
    got = scene.ask(scene.router(strategy=Single(), retry=Retry(total=1, pause=0.01)), way=way)
    assert isinstance(got.error, AllModelsFailedError)
    assert scene.models == ["small", "small", "large"]
