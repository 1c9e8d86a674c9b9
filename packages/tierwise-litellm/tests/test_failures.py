"""Every kind of failure, over real HTTP, in each way to ask."""

from __future__ import annotations

import asyncio
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asking import CANARY, Ask, attempt
from tierwise import ModelSpec, errors
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_litellm import LiteLLMBackend


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthenticationError),
        (403, errors.AuthenticationError),
        (404, errors.ModelNotFoundError),
        (422, errors.InvalidRequestError),
        (429, errors.RateLimitError),
        (500, errors.UnavailableError),
        (502, errors.UnavailableError),
        (503, errors.ServerBusyError),
        (529, errors.ServerBusyError),
    ],
)
async def test_a_status_is_one_failure_of_one_request(
    provider: LoopbackProvider, ask: Ask, model: str, status: int, kind: type[errors.BackendError]
) -> None:
    provider.on("small", Reply(status=status))
    with pytest.raises(errors.BackendError) as caught:
        await ask(model)
    assert type(caught.value) is kind
    assert (caught.value.status, provider.count()) == (status, 1)
    assert model in str(caught.value)
    assert "litellm" not in str(caught.value).lower()


async def test_a_prompt_that_is_too_long(provider: LoopbackProvider, ask: Ask, model: str) -> None:
    provider.on("small", Reply(status=400, error_code="context_length_exceeded"))
    with pytest.raises(errors.ContextOverflowError):
        await ask(model)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({"retry_after": 7}, 7.0),
        ({"retry_after_ms": 1500, "retry_after": 9}, 1.5),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
async def test_when_the_provider_asks_to_be_tried_again(
    provider: LoopbackProvider, ask: Ask, model: str, header: dict[str, Any], seconds: float | None
) -> None:
    provider.on("small", Reply(status=429, **header))
    with pytest.raises(errors.RateLimitError) as caught:
        await ask(model)
    assert caught.value.retry_after == seconds


async def test_a_date_to_be_tried_again(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(status=429, retry_after=datetime.now(UTC) + timedelta(minutes=10)))
    with pytest.raises(errors.RateLimitError) as caught:
        await ask("openai:small")
    assert caught.value.retry_after == pytest.approx(600, abs=30)


async def test_an_absent_server(provider: LoopbackProvider, ask: Ask, model: str) -> None:
    with provider.refusing(), pytest.raises(errors.UnavailableError) as caught:
        await ask(model)
    assert (caught.value.status, caught.value.reached) == (None, False)


async def test_a_connection_that_is_reset(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(refuse=True))
    with pytest.raises(errors.UnavailableError) as caught:
        await ask("openai:small")
    assert (caught.value.status, caught.value.reached, provider.count()) == (None, True, 1)


async def test_an_answer_that_breaks_off(provider: LoopbackProvider, ask: Ask, model: str) -> None:
    provider.on("small", Reply(text="one two three", disconnect_after=1))
    with pytest.raises(errors.BadResponseError) as caught:
        await ask(model)
    assert caught.value.status is None


@pytest.mark.parametrize("ask", ["open", "aopen"], indirect=True)
@pytest.mark.parametrize("after", [0, 2])
async def test_an_error_inside_a_stream(provider: LoopbackProvider, ask: Ask, model: str, after: int) -> None:
    provider.on("small", Reply(text="one two three", error_after=after, error="the engine died"))
    with pytest.raises(errors.BadResponseError) as caught:
        await ask(model)
    assert caught.value.status is None


@pytest.mark.parametrize("silence", [{"stall": True}, {"stall_after": 1}])
async def test_silence_ends_with_the_time_of_the_call(
    provider: LoopbackProvider, ask: Ask, model: str, silence: dict[str, Any]
) -> None:
    provider.on("small", Reply(text="one two three", **silence))
    with pytest.raises(errors.CallTimeoutError):
        await ask(model, timeout=1.0)
    await asyncio.to_thread(provider.wait_until, lambda: [call.client_closed for call in provider.calls] == [True])


async def test_silence_ends_with_the_backends_own_timeout(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(stall=True))
    options = {"openai": {"api_base": provider.openai_url, "api_key": CANARY}}
    with pytest.raises(errors.CallTimeoutError):
        await Ask(LiteLLMBackend(timeout=0.2, providers=options), ask.way)("openai:small")


async def test_a_missing_key_is_named_and_nothing_is_sent(
    provider: LoopbackProvider, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    without_key = LiteLLMBackend(providers={"openai": {"api_base": provider.openai_url}})
    with pytest.raises(errors.AuthenticationError, match="OPENAI_API_KEY"):
        await Ask(without_key, ask.way)("openai:small")
    assert provider.count() == 0


@pytest.mark.parametrize("where", ["options", "headers", "environment", "model"])
async def test_a_credential_is_shown_nowhere(
    provider: LoopbackProvider, ask: Ask, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "canary-of-no-known-shape-42"
    options: dict[str, Any] = {"api_base": provider.openai_url, "api_key": "sk-another"}
    spec = ModelSpec("openai:small", options={"api_key": secret}) if where == "model" else ModelSpec("openai:small")
    if where == "options":
        options["api_key"] = secret
    elif where == "headers":
        options["extra_headers"] = {"Authorization": f"Bearer {secret}"}
    elif where == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", secret)
        del options["api_key"]
    provider.on("small", Reply(status=401, error=f"Incorrect API key provided: {secret}."))
    telling = LiteLLMBackend(providers={"openai": options})
    with pytest.raises(errors.AuthenticationError) as caught:
        await Ask(telling, ask.way)(spec)
    assert secret in provider.calls[0].headers["authorization"]
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(telling) + repr(spec)
    assert secret not in shown
    assert "***" in str(caught.value)


def test_a_failure_is_one_that_a_flow_may_answer(backend: LiteLLMBackend) -> None:
    assert backend.is_failure(errors.BadResponseError("no"))
    assert not backend.is_failure(errors.ConfigError("no"))
    assert attempt("openai:small").model.provider == "openai"
