"""Through a router: who answers when a provider fails, and what is closed when the caller leaves."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal

import pytest
from asking import CANARY, attempt
from tierwise import Cascade, Fleet, ModelSpec, Price, Router, Tier, Tool
from tierwise.attempt import Outcome
from tierwise.backends import Backends
from tierwise.errors import AllModelsFailedError, DeadlineError, StreamBrokenError
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Usage
from tierwise_litellm import LiteLLMBackend


def routed(provider: LoopbackProvider, *tiers: Tier) -> Router:
    options = {"api_base": provider.openai_url, "api_key": CANARY}
    return Router(
        Fleet(tiers or [Tier("small", priced("small", 1)), Tier("large", priced("large", 10))]),
        strategy=Cascade(good),
        backends={"*": LiteLLMBackend(timeout=10, providers={"openai": options})},
    )


def good(outcome: Outcome) -> bool:
    return "good" in outcome.text


def priced(name: str, usd: int) -> ModelSpec:
    return ModelSpec(f"openai:{name}", price=Price(usd, usd))


def test_the_package_is_found_by_any_provider_that_has_no_backend_of_its_own() -> None:
    assert isinstance(Backends().find("anthropic"), LiteLLMBackend)


async def test_a_weak_answer_climbs_and_every_token_is_on_the_bill(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="weak", usage=Usage(input=1000, output=1000)))
    provider.on("large", Reply(text="good", usage=Usage(input=1000, output=1000), model="large-2026-01-01"))
    for reply in (routed(provider).run("hi"), await routed(provider).arun("hi")):
        assert (reply.text, reply.tier, reply.cost) == ("good", "large", Decimal("0.022"))
        assert reply.attempts[1].answered_by == "large-2026-01-01"


async def test_a_valid_tool_call_of_the_small_tier_costs_one_call(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    router = Router(Fleet([Tier("small", "openai:small"), Tier("large", "openai:large")]), backends=backends(provider))
    reply = await router.arun("Weather in Oslo?", tools=[Tool("weather", parameters=city)])
    assert [dict(c.arguments) for c in reply.tool_calls] == [{"city": "Oslo"}]
    assert (reply.status, provider.count()) == ("verified", 1)


def backends(provider: LoopbackProvider) -> dict[str, LiteLLMBackend]:
    return {"*": LiteLLMBackend(providers={"openai": {"api_base": provider.openai_url, "api_key": CANARY}})}


def test_a_server_whose_address_was_given_is_known(provider: LoopbackProvider) -> None:
    backend = backends(provider)["*"]
    assert backend.server(ModelSpec("openai:small")) == provider.openai_url
    assert backend.server(ModelSpec("anthropic:claude-opus-4-7")) is None


async def test_the_providers_id_of_an_answer_is_kept_streamed_or_not(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="good"))
    router = routed(provider)
    with router.stream("hi") as stream:
        assert "".join(chunk.text for chunk in stream) == "good"
    for reply in (router.run("hi"), await router.arun("hi"), stream.reply):
        assert re.fullmatch(r"chatcmpl-\d+", reply.outcome.response_id or "")


def test_a_stream_that_dies_before_its_first_token_falls_back(provider: LoopbackProvider) -> None:
    provider.on("first", Reply(text="good first", disconnect_after=0))
    provider.on("second", Reply(text="good second"))
    with routed(provider, Tier("only", ["openai:first", "openai:second"])).stream("hi") as stream:
        assert "".join(chunk.text for chunk in stream) == "good second"
    assert [c.model for c in provider.calls] == ["first", "second"]


def test_a_stream_that_dies_after_its_first_token_breaks(provider: LoopbackProvider) -> None:
    provider.on("first", Reply(text="good first answer", disconnect_after=2))
    provider.on("second", Reply(text="good second"))
    shown: list[str] = []
    with (
        pytest.raises(StreamBrokenError) as caught,
        routed(provider, Tier("only", ["openai:first", "openai:second"])).stream("hi") as stream,
    ):
        shown += [chunk.text for chunk in stream]
    assert caught.value.partial == "good first"
    assert provider.count() == 1
    usage = caught.value.attempts[0].usage
    assert usage is not None
    assert usage.estimated


async def test_the_same_in_async(provider: LoopbackProvider) -> None:
    provider.on("first", Reply(text="good first", error_after=0), Reply(text="good first answer", error_after=2))
    provider.on("second", Reply(text="good second"))
    router = routed(provider, Tier("only", ["openai:first", "openai:second"]))
    async with router.astream("hi") as stream:
        assert "".join([chunk.text async for chunk in stream]) == "good second"

    async def consume() -> None:
        async with router.astream("hi") as stream:
            async for _ in stream:
                pass

    with pytest.raises(StreamBrokenError) as caught:
        await consume()
    assert caught.value.partial == "good first"


def test_a_failing_provider_is_asked_once_for_each_attempt_on_the_bill(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(status=503))
    provider.on("large", Reply(status=500))
    with pytest.raises(AllModelsFailedError) as caught:
        routed(provider).run("hi")
    assert provider.count() == len(caught.value.attempts)
    assert {row.cost for row in caught.value.attempts} == {Decimal(0)}


def test_a_deadline_ends_a_call(provider: LoopbackProvider) -> None:
    provider.on("small", Reply(stall=True))
    with pytest.raises(DeadlineError):
        routed(provider).run("hi", deadline=2.0)
    provider.wait_until(lambda: [call.client_closed for call in provider.calls] == [True])


def test_leaving_a_stream_hangs_up(provider: LoopbackProvider, backend: LiteLLMBackend, model: str) -> None:
    provider.on("small", Reply(text="one two three", stall_after=1))
    with backend.open(attempt(model)) as chunks:
        assert next(chunks).text == "one"
    provider.wait_idle()
    assert provider.calls[0].client_closed


async def test_leaving_an_async_stream_hangs_up(
    provider: LoopbackProvider, backend: LiteLLMBackend, model: str
) -> None:
    provider.on("small", Reply(text="one two three", stall_after=1))
    async with backend.aopen(attempt(model)) as chunks:
        assert (await anext(chunks)).text == "one"
    await asyncio.to_thread(provider.wait_idle)
    assert provider.calls[0].client_closed


@pytest.mark.parametrize("silence", [Reply(stall=True), Reply(text="one two", stall_after=1)], ids=["start", "middle"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelling_hangs_up(
    provider: LoopbackProvider, backend: LiteLLMBackend, model: str, silence: Reply, streamed: bool
) -> None:
    provider.on("small", silence)

    async def consume() -> None:
        async with backend.aopen(attempt(model)) as chunks:
            async for _ in chunks:
                pass

    task = asyncio.create_task(consume() if streamed else backend.acall(attempt(model)))
    await asyncio.to_thread(provider.wait_until, lambda: provider.open_calls == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(provider.wait_idle)
    assert (provider.count(), provider.calls[0].client_closed) == (1, True)


def test_a_credential_is_that_of_the_options_or_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    small, own = ModelSpec("openai:small"), ModelSpec("openai:small", options={"api_key": "sk-own-1234567890"})
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env-1234567890")
    backend = LiteLLMBackend(providers={"mistral": {"api_key": "sk-env-1234567890"}})
    assert backend.credential(small) == backend.credential(ModelSpec("mistral:large")) != backend.credential(own)
    assert "sk-" not in f"{backend.credential(small)}{backend.credential(own)}"
    monkeypatch.delenv("OPENAI_API_KEY")
    assert backend.credential(small) is None
