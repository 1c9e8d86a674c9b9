"""One span for a routed call and one for each attempt, through every driver, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from tierwise import Budget, Cascade, Check, Fleet, Judge, ModelSpec, Router, Single, Task, Tier
from tierwise.errors import AllModelsFailedError, LedgerError, LimitError, StateError, TrustError
from tierwise.ledger import NoLedger, Row
from tierwise.limits import Limit
from tierwise.limits.base import Call
from tierwise.state import Claim, Denied, Granted, MemoryState
from tierwise.strategies import Specialists, Vote
from tierwise.testing.provider import LoopbackProvider, Reply, Request
from tierwise_ollama import OllamaBackend

from .recording import (
    FLEET,
    Drive,
    Recording,
    accepts,
    accepts_large,
    events,
    every_driver,
    is_inference,
    router,
    told,
)


@every_driver
def test_a_routed_call_is_a_span_over_its_attempt(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    reply = drive(router(provider, recording.telemetry()), "Hello?", job="answer", session="talk-7", role="clerk")
    run, (attempt,) = recording.run, recording.attempts
    assert (run.kind, run.parent, run.status.status_code) == (SpanKind.INTERNAL, None, StatusCode.UNSET)
    decided = {name: told(run)[f"tierwise.decision.{name}"] for name in ("tier", "rule", "candidates")}
    assert decided == {"tier": "small", "rule": "job table", "candidates": ("ollama:small", "ollama:large")}
    assert told(run)["tierwise.decision.duration"] > 0
    assert told(run)["tierwise.run.id"] == reply.run_id
    assert told(run)["tierwise.cost"] == float(reply.cost)
    assert told(run)["tierwise.saving"] == float(reply.receipt.saving.usd)
    assert told(run)["tierwise.saving.baseline"] == "ollama:large"
    assert {name: told(run)[f"tierwise.{name}"] for name in ("job", "role", "status", "answer.tier", "calls")} == {
        "job": "answer",
        "role": "clerk",
        "status": reply.status,
        "answer.tier": "small",
        "calls": 1,
    }
    (row,) = reply.attempts
    expected: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "ollama",
        "gen_ai.request.model": "small",
        "gen_ai.conversation.id": "talk-7",
        "gen_ai.response.model": "small",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": row.usage.input_tokens,
        "gen_ai.usage.output_tokens": row.usage.output_tokens,
        "server.address": "127.0.0.1",
        "server.port": urlsplit(provider.url).port,
        "tierwise.attempt.number": 1,
        "tierwise.attempt.tier": "small",
        "tierwise.attempt.purpose": "answer",
        "tierwise.attempt.reason": "answer is orchestration",
        "tierwise.attempt.cost": float(row.cost),
        "tierwise.attempt.cost.source": "user",
        "tierwise.attempt.verdict": row.verdict,
        "tierwise.attempt.verdict.verifier": row.verifier,
        "tierwise.attempt.verdict.evidence": row.evidence,
    }
    if row.first_token is not None:
        expected |= {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": row.first_token}
    assert (attempt.name, attempt.kind, dict(told(attempt))) == ("chat small", SpanKind.CLIENT, expected)


def test_settings_of_a_request_are_told(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("large", Reply(json={"n": 1}))
    task = Task("Hello?", min_tier="large", output_schema={"type": "object"}, max_output_tokens=32)
    router(provider, recording.telemetry()).run(task)
    (attempt,) = recording.attempts
    assert told(attempt)["gen_ai.request.max_tokens"] == 32
    assert told(attempt)["gen_ai.request.temperature"] == 0.5
    assert told(attempt)["gen_ai.output.type"] == "json"


@every_driver
def test_an_escalation_is_an_event_and_the_verdict_stands_on_the_draft(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    drive(router(provider, recording.telemetry(), strategy=Cascade(accepts_large)), "Hello?")
    draft, answer = recording.attempts
    assert [(told(s)["tierwise.attempt.purpose"], told(s)["tierwise.attempt.verdict"]) for s in (draft, answer)] == [
        ("draft", "reject"),
        ("answer", "accept"),
    ]
    assert draft.end_time is not None
    assert answer.start_time is not None
    assert draft.end_time <= answer.start_time
    assert told(answer)["tierwise.attempt.reason"].startswith("escalation: small rejected")
    moved = {"tierwise.move.source": "small", "tierwise.move.target": "large"}
    assert events(recording.run) == [("tierwise.escalation", moved)]
    assert (told(recording.run)["tierwise.escalations"], told(recording.run)["tierwise.fallbacks"]) == (1, 0)
    assert recording.points("tierwise.escalations") == [(moved, 1)]


@every_driver
def test_a_fallback_is_an_event_and_the_failed_attempt_has_its_error(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    provider.on("small", Reply(status=503))
    drive(router(provider, recording.telemetry()), "Hello?")
    failed, answer = recording.attempts
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, None)
    assert told(failed)["error.type"] == "ServerBusyError"
    assert told(failed)["http.response.status_code"] == 503
    assert told(failed)["gen_ai.response.finish_reasons"] == ("error",)
    assert answer.status.status_code == recording.run.status.status_code == StatusCode.UNSET
    moved = {"tierwise.move.source": "small", "tierwise.move.target": "large"}
    assert events(recording.run) == [("tierwise.fallback", moved)]
    assert recording.points("tierwise.fallbacks") == [(moved, 1)]


def test_a_fallback_inside_a_tier_is_one_too(provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("spare", Reply(text="From spare."))
    provider.on("small", Reply(status=503))
    fleet = Fleet([Tier("small", ["ollama:small", "ollama:spare"]), Tier("large", "ollama:large")])
    backends = {"ollama": OllamaBackend(provider.url)}
    Router(fleet, strategy=Cascade(accepts), backends=backends, telemetry=recording.telemetry()).run("Hello?")
    assert [span.name for span in recording.attempts] == ["chat small", "chat spare"]
    moved = {"tierwise.move.source": "small", "tierwise.move.target": "small"}
    assert events(recording.run) == [("tierwise.fallback", moved)]


@every_driver
def test_a_judge_is_an_attempt_of_its_own(drive: Drive, provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("large", Reply(json={"reason": "It is right.", "score": 9}))
    drive(router(provider, recording.telemetry(), strategy=Cascade(Judge("large"))), "Hello?")
    answer, judge = recording.attempts
    assert [told(s)["tierwise.attempt.purpose"] for s in (answer, judge)] == ["answer", "judge"]
    assert (told(answer)["tierwise.attempt.verdict.score"], told(answer)["tierwise.attempt.verdict.threshold"]) == (
        0.9,
        0.7,
    )
    assert told(answer)["tierwise.attempt.verdict.calibrated"] is False


@every_driver
def test_voices_side_by_side_are_spans_side_by_side(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    all_there = threading.Event()

    def voice(_: Request) -> Reply:
        if provider.open_calls == 3:
            all_there.set()
        return Reply(text="42", gate=all_there)

    provider.on("small", voice)
    drive(router(provider, recording.telemetry(), strategy=Vote(["small"] * 3)), "6 * 7?")
    voices = recording.attempts
    assert [told(s)["tierwise.attempt.number"] for s in voices] == [1, 2, 3]
    starts, ends = [s.start_time or 0 for s in voices], [s.end_time or 0 for s in voices]
    assert max(starts) < min(ends)


def test_a_check_is_no_inference(provider: LoopbackProvider, recording: Recording) -> None:
    router(provider, recording.telemetry(), strategy=Cascade(Check(accepts_large))).run("Hello?")
    check = next(span for span in recording.attempts if not is_inference(span))
    assert (check.name, check.kind) == ("tierwise.check", SpanKind.INTERNAL)
    assert not any(name.startswith("gen_ai.") for name in told(check))
    counted = [labels["gen_ai.request.model"] for labels, _ in recording.points("gen_ai.client.inference.duration")]
    assert sorted(counted) == ["large", "small"]


def test_a_specialist_is_the_last_decision(provider: LoopbackProvider, recording: Recording) -> None:
    def large(task: Task) -> str:
        return "large"

    router(provider, recording.telemetry(), strategy=Specialists(large)).run("Hello?")
    assert told(recording.run)["tierwise.decision.tier"] == "large"
    assert "ollama:small" in told(recording.run)["tierwise.decision.candidates"]


class Refusing(Limit):
    """Refuses the small model."""

    name = "test"

    def claims(self, call: Call) -> Sequence[Claim]:
        if call.attempt.model.name == "small":
            raise LimitError("no more", limit=self.name)
        return ()


@every_driver
def test_a_refused_call_is_an_event_and_no_span(drive: Drive, provider: LoopbackProvider, recording: Recording) -> None:
    drive(router(provider, recording.telemetry(), limits=[Refusing()]), "Hello?")
    (attempt,) = recording.attempts
    assert (attempt.name, told(attempt)["tierwise.attempt.number"]) == ("chat large", 2)
    (refusal, fallback) = events(recording.run)
    assert refusal == (
        "tierwise.refusal",
        {
            "gen_ai.provider.name": "ollama",
            "gen_ai.request.model": "small",
            "tierwise.attempt.tier": "small",
            "tierwise.attempt.purpose": "answer",
            "tierwise.attempt.reason": refusal[1]["tierwise.attempt.reason"],
            "error.type": "LimitError",
        },
    )
    assert fallback[0] == "tierwise.fallback"
    assert (told(recording.run)["tierwise.calls"], told(recording.run)["tierwise.refusals"]) == (1, 1)
    ((labels, count),) = recording.points("tierwise.refusals")
    assert (labels["gen_ai.request.model"], labels["error.type"], count) == ("small", "LimitError", 1)


class FullLedger(NoLedger):
    """Cannot be written to."""

    def begin(self, row: Row, task: Task) -> None:
        raise LedgerError("the disk is full")


def test_a_call_that_the_ledger_stops_was_never_sent(provider: LoopbackProvider, recording: Recording) -> None:
    with pytest.raises(LedgerError):
        router(provider, recording.telemetry(), ledger=FullLedger()).run("Hello?")
    assert recording.attempts == []
    assert [(name, told["error.type"]) for name, told in events(recording.run)] == [("tierwise.refusal", "LedgerError")]
    assert (told(recording.run)["tierwise.calls"], told(recording.run)["tierwise.refusals"]) == (0, 1)


class LostState(MemoryState):
    """Cannot be asked what is left."""

    def reserve(self, *args: Any, **options: Any) -> Granted | Denied:
        raise StateError("gone")

    async def areserve(self, *args: Any, **options: Any) -> Granted | Denied:
        raise StateError("gone")


@every_driver
def test_limits_that_cannot_be_asked_show(drive: Drive, provider: LoopbackProvider, recording: Recording) -> None:
    made = router(provider, recording.telemetry(), limits=[Budget(usd=1)], state=LostState(), on_state_loss="fail_open")
    drive(made, "Hello?")
    assert events(recording.run) == [("tierwise.state_loss", {"tierwise.state_loss.mode": "fail_open"})]
    assert recording.points("tierwise.state_losses") == [({"tierwise.state_loss.mode": "fail_open"}, 1)]


def test_calls_that_are_refused_because_of_it_say_so(provider: LoopbackProvider, recording: Recording) -> None:
    with pytest.raises(AllModelsFailedError):
        router(provider, recording.telemetry(), limits=[Budget(usd=1)], state=LostState()).run("Hello?")
    refused = [told["error.type"] for name, told in events(recording.run) if name == "tierwise.refusal"]
    assert refused == ["LimitStateError", "LimitStateError"]


@every_driver
def test_when_all_fail_so_does_the_routed_call(drive: Drive, provider: LoopbackProvider, recording: Recording) -> None:
    provider.on("small", Reply(status=503))
    provider.on("large", Reply(refuse=True))
    with pytest.raises(AllModelsFailedError):
        drive(router(provider, recording.telemetry()), "Hello?")
    assert recording.run.status.status_code == StatusCode.ERROR
    assert told(recording.run)["error.type"] == "AllModelsFailedError"
    assert "tierwise.status" not in told(recording.run)
    assert [told(s)["error.type"] for s in recording.attempts] == ["ServerBusyError", "UnavailableError"]


@every_driver
def test_what_is_never_called_is_a_routed_call_all_the_same(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    fleet = FLEET.map(lambda model: ModelSpec(model.id, trust="any"))
    backends = {"ollama": OllamaBackend(provider.url)}
    remote = Router(fleet, backends=backends, telemetry=recording.telemetry())
    with pytest.raises(TrustError):
        drive(remote, "Hello?", trust="local")
    assert told(recording.run)["error.type"] == "TrustError"
    assert recording.attempts == []


async def test_runs_beside_each_other_keep_their_own_attempts(provider: LoopbackProvider, recording: Recording) -> None:
    made = router(provider, recording.telemetry(), strategy=Cascade(accepts_large))
    replies = await asyncio.gather(*(made.arun(f"Hello {n}?") for n in range(12)))
    routed = [span for span in recording.spans if span.name == "tierwise.run"]
    runs = {span.context.span_id: told(span)["tierwise.run.id"] for span in routed if span.context is not None}
    assert sorted(runs.values()) == sorted(reply.run_id for reply in replies)
    children = [s.parent.span_id for s in recording.spans if s.parent is not None]
    assert sorted(children) == sorted([*runs, *runs])


def test_a_text_that_is_no_unicode_does_not_lose_the_span(provider: LoopbackProvider, recording: Recording) -> None:
    router(provider, recording.telemetry(), strategy=Single()).run("Hello?", session="a\ud800b", job="\ud800")
    assert told(recording.run)["gen_ai.conversation.id"] == "a?b"
    for span in recording.spans:
        span.to_json().encode()
