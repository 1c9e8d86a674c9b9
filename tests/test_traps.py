"""Traps that routers fall into, each through real HTTP against a provider on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel
from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Router, Single, Task, Tier, Tool
from tierwise.errors import AllModelsFailedError, RateLimitError
from tierwise.testing.provider import Call, LoopbackProvider, Reply, ReplyFunction, Request
from tierwise.verifiers import Logprob
from tierwise_ollama import OllamaBackend

WEATHER = Tool(
    "weather",
    "The weather in a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as served:
        for model in ("small", "medium", "large"):
            served.on(model, Reply(text=f"from {model}"))
            served.describe(model, capabilities=("completion", "tools"))
        yield served


@pytest.fixture
def backend(provider: LoopbackProvider) -> OllamaBackend:
    return OllamaBackend(host=provider.url)


@pytest.fixture
def router(backend: OllamaBackend) -> Router:
    fleet = Fleet([Tier("small", "ollama:small"), Tier("large", "ollama:large")])
    return Router(fleet, backends={"ollama": backend})


def grade(score: int) -> Reply:
    return Reply(text=json.dumps({"reason": "so it is", "score": score}))


def judging(score: int, answer: str = "from large") -> ReplyFunction:
    """A model that grades where a schema is asked for, and answers otherwise."""

    def reply(request: Request) -> Reply:
        return grade(score) if request.schema else Reply(text=answer)

    return reply


ESSAY = "The history of cheese is long and rich, and spans many lands and ages. " * 4


def test_trap_01_length_is_no_evidence(router: Router, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="Paris."))
    provider.on("large", judging(9))
    short = router.run("What is the capital of France?")
    assert (short.text, short.tier, short.status) == ("Paris.", "small", "verified")

    provider.on("small", Reply(text=ESSAY))
    provider.on("large", judging(1, "Paris."))
    essay = router.run("What is the capital of France?")
    assert (essay.text, essay.tier) == ("Paris.", "large")


class City(BaseModel):
    name: str


def test_trap_02_a_valid_tool_call_costs_one_call(router: Router, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    reply = router.run("Weather in Oslo?", tools=[WEATHER])
    assert reply.tool_calls[0].arguments == {"city": "Oslo"}
    assert len(provider.calls) == 1


def test_trap_02_a_valid_typed_output_costs_one_call(router: Router, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(json={"name": "Oslo"}))
    assert router.run("Which city?", output_schema=City).output == City(name="Oslo")
    assert len(provider.calls) == 1


def test_trap_02_a_tool_call_written_as_text_costs_one_call(router: Router, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text='```json\n{"name": "weather", "arguments": {"city": "Oslo"}}\n```'))
    reply = router.run("Weather in Oslo?", tools=[WEATHER])
    assert reply.tool_calls[0].repaired
    assert reply.attempts[0].repaired
    assert len(provider.calls) == 1


async def test_trap_03_a_rejected_draft_is_never_shown(router: Router, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="the rejected draft"))
    provider.on("large", judging(0))
    with router.stream("hi") as stream:
        shown = "".join(chunk.text for chunk in stream)
    async with router.astream("hi") as other:
        ashown = "".join([chunk.text async for chunk in other])
    assert shown == ashown == "from large"
    assert [r.purpose for r in stream.reply.attempts] == ["draft", "judge", "answer"]


async def test_trap_04_streams_work_and_carry_tool_calls(router: Router, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
    async with router.astream("Weather in Oslo?", tools=[WEATHER]) as stream:
        calls = [call async for chunk in stream for call in chunk.tool_calls]
    assert [call.name for call in calls] == ["weather"]
    assert stream.reply.status == "verified"


def test_trap_05_typed_output_goes_up_when_it_is_wrong(router: Router, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(text="It is Oslo."))
    provider.on("large", Reply(json={"name": "Oslo"}))
    reply = router.run("Which city?", output_schema=City)
    assert reply.output == City(name="Oslo")
    assert [r.verdict for r in reply.attempts] == ["reject", "accept"]


def test_trap_06_a_long_system_prompt_does_not_make_a_greeting_hard(router: Router) -> None:
    system = "You are an expert in law, analysis, architecture and proofs. Think step by step. " * 200
    assert router.decide("hi", system=system).tier == "small"


def test_trap_07_an_outage_is_an_error_and_not_an_empty_success(router: Router, provider: LoopbackProvider) -> None:
    for model in ("small", "large"):
        provider.on(model, Reply(status=401, error="bad credential"))
    with pytest.raises(AllModelsFailedError) as caught:
        router.run("hi")
    assert [r.error_type for r in caught.value.attempts] == ["AuthenticationError"] * 2
    assert all(r.cost == 0 for r in caught.value.attempts)


def test_trap_08_a_local_model_is_free_and_an_unknown_one_unknown(backend: OllamaBackend) -> None:
    local = Router(Fleet([Tier("only", "ollama:small")]), backends={"ollama": backend}).run("hi")
    assert (local.cost, local.attempts[0].cost_source) == (0, "local")
    # The same server under another provider's name is a model that no price list knows.
    unknown = Router(Fleet([Tier("only", "acme:small")]), backends={"acme": _Priceless(backend.url)}).run("hi")
    assert unknown.cost is None


class _Priceless(OllamaBackend):
    def price(self, model: ModelSpec) -> None:
        return None


def test_trap_09_missing_log_probabilities_are_not_invented(backend: OllamaBackend, provider: LoopbackProvider) -> None:
    fleet = Fleet([Tier("small", "ollama:small"), Tier("large", "ollama:large")])
    made = Router(fleet, strategy=Cascade(Logprob(threshold=-0.1)), backends={"ollama": backend})
    provider.on("small", Reply(text="sure", logprobs=None))
    reply = made.run("hi")
    assert reply.tier == "large"
    assert reply.attempts[0].verdict == "abstain"
    assert reply.attempts[0].score is None


def test_trap_10_a_busy_small_model_is_left_at_once(router: Router, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(status=429, retry_after=50))
    assert router.run("hi").text == "from large"
    assert (provider.count("small"), provider.count("large")) == (1, 1)


def no(outcome: Outcome) -> bool:
    return False


def test_trap_13_every_tier_of_the_ladder_is_used(backend: OllamaBackend, provider: LoopbackProvider) -> None:
    fleet = Fleet([Tier(name, f"ollama:{name}") for name in ("small", "medium", "large")])
    made = Router(fleet, strategy=Cascade(no), backends={"ollama": backend})
    assert made.run("hi").tier == "large"
    assert [provider.count(name) for name in ("small", "medium", "large")] == [1, 1, 1]


def test_a_failed_call_says_what_the_provider_asked_for(backend: OllamaBackend, provider: LoopbackProvider) -> None:
    provider.on("small", Reply(status=429, retry_after=7))
    only = Router(Fleet([Tier("only", "ollama:small")]), strategy=Single(), backends={"ollama": backend})
    with pytest.raises(AllModelsFailedError) as caught:
        only.run(Task("hi"))
    error = caught.value.outcomes[0].error
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 7


def test_the_price_of_a_dated_release_is_that_of_its_model_and_of_no_family() -> None:
    from tierwise.fleet import Usage
    from tierwise.fleet.pricing import Pricing

    asked = ModelSpec("acme:alpha", price=Price(1, 1))
    pricing = Pricing(Fleet([Tier("only", asked)]))
    usage = Usage(1_000_000, 0)
    assert pricing.cost(asked, "alpha-2026-01-02", usage).usd == 1
    assert pricing.cost(asked, "alpha-mini", usage).usd is None
