"""What is counted and measured, through the SDK's in-memory reader."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Router, Task, Tier, Usage
from tierwise.attempt import Attempt
from tierwise.errors import UnavailableError
from tierwise.strategies import Vote
from tierwise.testing.provider import LoopbackProvider, Reply

from .recording import Recording, accepts, accepts_large, by_stream, router, told

INFERENCE = "gen_ai.client.inference"


def total(recording: Recording, metric: str, **labels: Any) -> float:
    """The sum over the points that have these labels, in which `__` stands for a dot."""
    wanted = {name.replace("__", "."): value for name, value in labels.items()}
    return sum(value for found, value in recording.points(metric) if wanted.items() <= found.items())


def test_tokens_and_cost_add_up_to_the_receipt(provider: LoopbackProvider, recording: Recording) -> None:
    made = router(provider, recording.telemetry(), strategy=Cascade(accepts_large))
    replies = [made.run("Hello there?"), made.run("Hello again, whoever you are?")]
    rows: list[Any] = [row for reply in replies for row in reply.attempts]
    for size in ("small", "large"):
        usages = [row.usage for row in rows if row.model == f"ollama:{size}"]
        tokens_in = total(recording, f"{INFERENCE}.usage.input_tokens", gen_ai__request__model=size)
        tokens_out = total(recording, f"{INFERENCE}.usage.output_tokens", gen_ai__request__model=size)
        assert tokens_in == sum(usage.input_tokens for usage in usages)
        assert tokens_out == sum(usage.output_tokens for usage in usages)
    spent = sum((reply.cost or 0 for reply in replies), Decimal(0))
    assert total(recording, "tierwise.cost") == pytest.approx(float(spent))
    assert total(recording, "tierwise.cost", tierwise__attempt__purpose="draft") == pytest.approx(
        float(sum(row.cost for row in rows if row.purpose == "draft"))
    )
    assert total(recording, "tierwise.calls", tierwise__attempt__verdict="reject") == 2
    assert total(recording, "tierwise.escalations") == 2
    assert total(recording, "tierwise.run.duration", tierwise__status="verified") == 2


def test_times_are_measured_with_whose_they_are(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(status=503))
    by_stream(router(provider, recording.telemetry()), "Hello?")
    durations = {labels["gen_ai.request.model"]: labels for labels, _ in recording.points(f"{INFERENCE}.duration")}
    assert durations["small"]["error.type"] == "ServerBusyError"
    assert "error.type" not in durations["large"]
    assert durations["large"]["server.address"] == "127.0.0.1"
    ((labels, count),) = recording.points(f"{INFERENCE}.time_to_first_chunk")
    assert (labels["gen_ai.request.model"], count) == ("large", 1)


def answering(usage: Usage | None, error: Exception | None = None) -> Any:
    def backend(attempt: Attempt) -> Outcome:
        if error is not None and attempt.model.name == "small":
            raise error
        return Outcome(attempt, text="Yes.", usage=usage, model="vendor-2026")

    return backend


def made_of(recording: Recording, backend: Any, **options: Any) -> Router:
    fleet = Fleet([Tier("small", ModelSpec("x-ai:small")), Tier("large", ModelSpec("x-ai:large", price=Price(1, 1)))])
    return Router(fleet, backends={"x-ai": backend}, telemetry=recording.telemetry(), **options)


def test_cached_and_reasoning_tokens_are_counted_beside_their_wholes(recording: Recording) -> None:
    usage = Usage(100, 50, cached_tokens=40, cache_write_tokens=7, reasoning_tokens=30)
    made_of(recording, answering(usage), strategy=Cascade(accepts)).run("Hello?")
    (attempt,) = recording.attempts
    for name, tokens in {
        "input_tokens": 100,
        "output_tokens": 50,
        "cache_read.input_tokens": 40,
        "cache_write.input_tokens": 7,
        "reasoning.output_tokens": 30,
    }.items():
        assert told(attempt)[f"gen_ai.usage.{name}"] == tokens
        ((labels, counted),) = recording.points(f"{INFERENCE}.usage.{name}")
        assert counted == tokens
        assert dict(labels) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "x_ai",
            "gen_ai.request.model": "small",
            "gen_ai.response.model": "vendor-2026",
            "gen_ai.token.modality": "text",
        }


def test_what_the_provider_did_not_count_is_marked_as_estimated(recording: Recording) -> None:
    made_of(recording, answering(None), strategy=Cascade(accepts)).run("Hello?")
    assert total(recording, f"{INFERENCE}.usage.output_tokens", tierwise__attempt__usage__estimated=True) == 1


def test_tokens_of_a_request_with_images_are_of_no_known_kind(recording: Recording) -> None:
    task = Task([{"role": "user", "content": "What is it?", "images": ["aGk="]}])
    made_of(recording, answering(Usage(9, 3)), strategy=Cascade(accepts)).run(task)
    assert total(recording, f"{INFERENCE}.usage.input_tokens", gen_ai__token__modality="unknown") == 9
    assert total(recording, f"{INFERENCE}.usage.output_tokens", gen_ai__token__modality="text") == 3


def test_a_price_that_is_not_known_is_no_cost_and_is_counted_as_such(recording: Recording) -> None:
    made_of(recording, answering(Usage(9, 3)), strategy=Cascade(accepts)).run("Hello?")
    assert recording.points("tierwise.cost") == []
    assert "tierwise.cost" not in told(recording.run)
    assert total(recording, "tierwise.calls", tierwise__attempt__cost__source="unknown") == 1


def test_a_call_that_failed_has_no_tokens(recording: Recording) -> None:
    made_of(recording, answering(Usage(9, 3), UnavailableError("down")), strategy=Cascade(accepts)).run("Hello?")
    failed = [f for f in recording.points(f"{INFERENCE}.usage.input_tokens") if f[0]["gen_ai.request.model"] == "small"]
    assert [(labels["gen_ai.token.modality"], tokens) for labels, tokens in failed] == [("unknown", 0)]


def test_every_voice_is_counted(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(text="42"))
    router(provider, recording.telemetry(), strategy=Vote(["small"] * 3)).run("6 * 7?")
    assert total(recording, "tierwise.calls", gen_ai__request__model="small") == 3
