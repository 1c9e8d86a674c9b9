"""What every backend has to do, over real HTTP.

Subclass `BackendConformance` in a test file, and say in `backend` how yours is made: the page on testing shows it.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest

from tierwise.attempt import Attempt, Chunk, Outcome
from tierwise.backends.base import Backend
from tierwise.errors import (
    AuthenticationError,
    BackendError,
    BadResponseError,
    CallTimeoutError,
    ContextOverflowError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    ServerBusyError,
    UnavailableError,
)
from tierwise.fleet.model import ModelSpec
from tierwise.fleet.price import FREE
from tierwise.messages import Message, Prompt, Tool, ToolCall
from tierwise.task import Task
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Usage

__all__ = ["BackendConformance"]

Way = Literal["call", "acall", "open", "aopen"]

_WEATHER = Tool(
    "weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
}
_MODEL = "small"
_PATIENCE = 60.0
"""Seconds after which a call that hangs fails its test."""


class BackendConformance(ABC):
    """The suite. Each test asks in all four ways: a user must not be able to tell them apart by what comes back."""

    secret: str = ""
    """The credential that the backend is given, if any: it may show up in no error."""
    needs_credential: bool = True
    """Whether the provider can turn a credential down (401)."""
    logprobs: bool = True
    """Whether the backend can ask for log probabilities."""
    trusted_locally: bool = True
    """Whether the backend knows that the provider runs on this machine."""

    @abstractmethod
    def backend(self, provider: LoopbackProvider, model: str) -> tuple[Backend, ModelSpec]:
        """The backend, calling that provider, and the spec of a model of that name. It must not retry by itself."""

    @pytest.fixture
    def provider(self) -> Iterator[LoopbackProvider]:
        """A provider on this machine that misbehaves as scripted."""
        with LoopbackProvider() as running:
            running.on(_MODEL, Reply(text="Oslo is the capital."))
            yield running

    @pytest.fixture(params=["call", "acall", "open", "aopen"])
    def way(self, request: pytest.FixtureRequest) -> Way:
        """How the backend is asked."""
        return request.param

    async def ask(self, provider: LoopbackProvider, way: Way, prompt: Prompt = "Say it.", **fields: Any) -> Outcome:
        """One attempt; `timeout`, `logprobs` and the settings are its own fields, all others the task's."""
        backend, model = self.backend(provider, _MODEL)
        own = {n: fields.pop(n) for n in ("logprobs", "temperature", "seed", "timeout") if n in fields}
        settings: dict[str, Any] = {"timeout": _PATIENCE} | own
        attempt = Attempt(Task(prompt, **fields), model, **settings)
        return await _asked(backend, way, attempt)

    async def failed(self, provider: LoopbackProvider, way: Way, **fields: Any) -> BackendError:
        """The error of one attempt: a failure in the backend's own words, of one request, without any secret."""
        backend, _ = self.backend(provider, _MODEL)
        with pytest.raises(BackendError) as caught:
            await self.ask(provider, way, **fields)
        assert backend.is_failure(caught.value)
        if self.secret:
            assert self.secret not in f"{caught.value!r} {caught.value.__cause__!r}"
        await asyncio.to_thread(provider.wait_idle)
        return caught.value

    async def test_an_answer(self, provider: LoopbackProvider, way: Way) -> None:
        """Text, finish reason, the model that answered, and the provider's own counts."""
        provider.on(_MODEL, Reply(text="Oslo is it.", usage=Usage(input=40, output=7)))
        outcome = await self.ask(provider, way)
        assert (outcome.text, outcome.tool_calls, outcome.error) == ("Oslo is it.", (), None)
        assert outcome.finish_reason == "stop"
        assert outcome.model is not None
        assert _MODEL in outcome.model
        assert outcome.usage is not None
        assert (outcome.usage.input_tokens, outcome.usage.output_tokens) == (40, 7)
        assert not outcome.usage.estimated
        assert provider.count() == 1

    async def test_thoughts_are_not_the_answer(self, provider: LoopbackProvider, way: Way) -> None:
        """What a model thinks is kept apart from what it says."""
        provider.on(_MODEL, Reply(text="4", thinking="Two and two."))
        outcome = await self.ask(provider, way)
        assert outcome.text == "4"
        assert outcome.thinking in ("Two and two.", "")

    async def test_the_conversation_reaches_the_model(self, provider: LoopbackProvider, way: Way) -> None:
        """Roles and texts in their order, with tool calls and their results."""
        said = [
            Message("system", "Be brief."),
            Message("user", "Weather in Oslo?"),
            Message("assistant", tool_calls=(ToolCall("weather", {"city": "Oslo"}, id="c1"),)),
            Message("tool", "Rain.", tool_call_id="c1", name="weather"),
        ]
        await self.ask(provider, way, said, tools=[_WEATHER])
        sent = provider.calls[-1].messages
        assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool"]
        assert sent[0]["content"] == "Be brief."
        assert sent[2]["tool_calls"][0]["function"]["name"] == "weather"
        assert "Rain." in str(sent[3]["content"])

    async def test_a_tool_call(self, provider: LoopbackProvider, way: Way) -> None:
        """The tools are offered; the call comes back parsed, and as no text."""
        provider.on(_MODEL, Reply(tool_calls=[Call("weather", {"city": "Oslo"})]))
        outcome = await self.ask(provider, way, tools=[_WEATHER])
        assert [(c.name, dict(c.arguments)) for c in outcome.tool_calls] == [("weather", {"city": "Oslo"})]
        assert not outcome.text.strip()
        assert provider.calls[-1].tools[0]["function"]["name"] == "weather"

    async def test_parallel_tool_calls(self, provider: LoopbackProvider, way: Way) -> None:
        """Several calls of one turn keep their order and have ids of their own."""
        cities = ["Oslo", "Bergen", "Bodø"]
        provider.on(_MODEL, Reply(tool_calls=[Call("weather", {"city": c}) for c in cities]))
        outcome = await self.ask(provider, way, tools=[_WEATHER])
        assert [c.arguments["city"] for c in outcome.tool_calls] == cities
        assert len({c.id for c in outcome.tool_calls}) == len(cities)

    async def test_a_typed_output(self, provider: LoopbackProvider, way: Way) -> None:
        """The schema reaches the provider, and the answer is its JSON."""
        provider.on(_MODEL, Reply(json={"city": "Oslo", "people": 1}))
        outcome = await self.ask(provider, way, output_schema=_SCHEMA)
        sent = provider.calls[-1].schema or {}
        assert set(sent.get("properties", {})) == {"city", "people"}
        assert outcome.text.replace(" ", "") == '{"city":"Oslo","people":1}'

    async def test_settings_reach_the_model(self, provider: LoopbackProvider, way: Way) -> None:
        """Temperature, seed and output cap, under whatever names the provider has for them."""
        await self.ask(provider, way, temperature=0.25, seed=11, max_output_tokens=33)
        sent = {**provider.calls[-1].body, **provider.calls[-1].options}
        assert (sent["temperature"], sent["seed"]) == (0.25, 11)
        assert 33 in (sent.get("num_predict"), sent.get("max_tokens"), sent.get("max_completion_tokens"))

    async def test_log_probabilities(self, provider: LoopbackProvider, way: Way) -> None:
        """They are there if they were asked for and the provider has them; they are never made up."""
        provider.on(_MODEL, Reply(text="Oslo", logprobs=[-0.25]))
        outcome = await self.ask(provider, way, logprobs=True)
        assert outcome.logprobs == ((-0.25,) if self.logprobs else None)
        assert (await self.ask(provider, way)).logprobs is None

    async def test_a_cut_answer_says_so(self, provider: LoopbackProvider, way: Way) -> None:
        """An answer that ran into its cap is still an answer, with its reason."""
        provider.on(_MODEL, Reply(text="Oslo is", finish_reason="length"))
        assert (await self.ask(provider, way)).finish_reason == "length"

    async def test_missing_counts_are_not_zero(self, provider: LoopbackProvider, way: Way) -> None:
        """What the provider did not count is left open, for the driver to estimate and flag."""
        provider.on(_MODEL, Reply(text="Oslo", usage_position="missing"))
        usage = (await self.ask(provider, way)).usage
        assert usage is None or usage.estimated or (usage.input_tokens is None and usage.output_tokens is None)

    async def test_the_model_that_answered_is_kept(self, provider: LoopbackProvider, way: Way) -> None:
        """A provider may answer with another model than was asked for, and bill that."""
        provider.on(_MODEL, Reply(text="Oslo", model="small-2026-01-01"))
        assert "small-2026-01-01" in str((await self.ask(provider, way)).model)

    @pytest.mark.parametrize(
        ("reply", "kinds"),
        [
            (Reply(status=400), InvalidRequestError),
            (Reply(status=404, error='model "small" not found, try pulling it first'), ModelNotFoundError),
            (Reply(status=429), (RateLimitError, ServerBusyError)),
            (Reply(status=500), UnavailableError),
            (Reply(status=503), (ServerBusyError, UnavailableError)),
            (Reply(refuse=True), UnavailableError),
            (Reply(text="Oslo is it.", corrupt="malformed"), BadResponseError),
            (Reply(text="Oslo is it.", corrupt="truncated"), (BadResponseError, UnavailableError)),
            (Reply(corrupt="empty"), (BadResponseError, UnavailableError)),
            (Reply(text="Oslo is it.", disconnect_after=1), (BadResponseError, UnavailableError)),
        ],
        ids=lambda v: None if not isinstance(v, Reply) else f"{v.status}-{v.corrupt or ''}",
    )
    async def test_errors_are_failures_of_their_kind(
        self, provider: LoopbackProvider, way: Way, reply: Reply, kinds: Any
    ) -> None:
        """One request, one error of the right class, told from a defect."""
        provider.on(_MODEL, reply)
        error = await self.failed(provider, way)
        assert isinstance(error, kinds)
        assert provider.count() <= 1

    async def test_a_prompt_that_is_too_long(self, provider: LoopbackProvider, way: Way) -> None:
        """It is told from other wrong requests; a backend may try once more with a larger context."""
        provider.on(_MODEL, Reply(status=400, error_code="context_length_exceeded"))
        assert isinstance(await self.failed(provider, way), ContextOverflowError)
        assert provider.count() <= 2

    async def test_a_refused_credential(self, provider: LoopbackProvider, way: Way) -> None:
        """401 is told from every other error: it concerns the credential alone."""
        if not self.needs_credential:
            pytest.skip("the provider asks for no credential")
        provider.on(_MODEL, Reply(status=401))
        error = await self.failed(provider, way)
        assert isinstance(error, AuthenticationError)
        assert error.status == 401

    async def test_a_rate_limit_says_when_to_come_back(self, provider: LoopbackProvider, way: Way) -> None:
        """`Retry-After`, in seconds."""
        provider.on(_MODEL, Reply(status=429, retry_after=7))
        assert (await self.failed(provider, way)).retry_after == pytest.approx(7, abs=1)

    async def test_an_error_inside_a_stream_that_began_with_200(self, provider: LoopbackProvider) -> None:
        """It is an error, and no short answer."""
        provider.on(_MODEL, Reply(text="Oslo is the capital.", error_after=2))
        for way in ("open", "aopen"):
            await self.failed(provider, way)

    async def test_a_call_ends_in_its_time(self, provider: LoopbackProvider, way: Way) -> None:
        """A server that falls silent is left, and the call closed."""
        provider.on(_MODEL, Reply(text="Oslo is it.", stall_after=1))
        assert isinstance(await self.failed(provider, way, timeout=0.3), CallTimeoutError)

    @pytest.mark.parametrize("way", ["open", "aopen"])
    async def test_a_stream_comes_in_pieces_and_leaving_it_closes_the_call(
        self, provider: LoopbackProvider, way: Way
    ) -> None:
        """The first piece is there while the provider still writes; it learns that nobody listens."""
        provider.on(_MODEL, Reply(text="Oslo is the capital.", stall_after=1))
        backend, model = self.backend(provider, _MODEL)
        attempt = Attempt(Task("Say it."), model, timeout=_PATIENCE)
        first = await _first(backend, way, attempt)
        assert first.text.strip() == "Oslo"
        await asyncio.to_thread(provider.wait_idle)
        assert [call.client_closed for call in provider.calls] == [True]

    async def test_cancelling_a_call_closes_it(self, provider: LoopbackProvider) -> None:
        """The provider learns that nobody listens."""
        provider.on(_MODEL, Reply(stall=True))
        backend, model = self.backend(provider, _MODEL)
        running = asyncio.create_task(backend.acall(Attempt(Task("Say it."), model, timeout=_PATIENCE)))
        await asyncio.to_thread(provider.wait_until, lambda: provider.open_calls == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.to_thread(provider.wait_idle)

    async def test_many_calls_at_once(self, provider: LoopbackProvider) -> None:
        """One backend serves twenty calls of one loop, and calls of other threads beside them."""
        backend, model = self.backend(provider, _MODEL)
        attempt = Attempt(Task("Say it."), model, timeout=_PATIENCE)
        texts: list[str] = []
        threads = [threading.Thread(target=lambda: texts.append(backend.call(attempt).text)) for _ in range(4)]
        for thread in threads:
            thread.start()
        outcomes = await asyncio.gather(*(backend.acall(attempt) for _ in range(20)))
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
        assert {*texts, *(o.text for o in outcomes)} == {"Oslo is the capital."}
        assert provider.count() == 24

    async def test_labels(self, provider: LoopbackProvider) -> None:
        """Trust and price are known or not; they are asked without a call, and a price is never guessed."""
        backend, model = self.backend(provider, _MODEL)
        assert backend.trust(model) == ("local" if self.trusted_locally else None)
        assert backend.price(model) in (None, FREE)
        assert provider.count() == 0


async def _asked(backend: Backend, way: Way, attempt: Attempt) -> Outcome:
    if way == "acall":
        return await backend.acall(attempt)
    if way == "call":
        return await asyncio.to_thread(backend.call, attempt)
    if way == "aopen":
        async with backend.aopen(attempt) as chunks:
            return _whole(attempt, [chunk async for chunk in chunks])

    def opened() -> Outcome:
        with backend.open(attempt) as chunks:
            return _whole(attempt, list(chunks))

    return await asyncio.to_thread(opened)


async def _first(backend: Backend, way: Way, attempt: Attempt) -> Chunk:
    """The first visible chunk; then the stream is left."""
    if way == "aopen":
        async with backend.aopen(attempt) as chunks:
            return await _first_visible(chunks)

    def opened() -> Chunk:
        with backend.open(attempt) as chunks:
            return next(chunk for chunk in chunks if chunk.is_visible)

    return await asyncio.to_thread(opened)


async def _first_visible(chunks: AsyncIterator[Chunk]) -> Chunk:
    async for chunk in chunks:
        if chunk.is_visible:
            return chunk
    raise AssertionError("the stream had nothing to show")


def _whole(attempt: Attempt, chunks: list[Chunk]) -> Outcome:
    """What a driver makes of a stream."""
    outcome = Outcome(
        attempt,
        text="".join(c.text for c in chunks),
        thinking="".join(c.thinking for c in chunks),
        tool_calls=tuple(call for c in chunks for call in c.tool_calls),
        logprobs=tuple(p for c in chunks for p in c.logprobs) or None,
    )
    for chunk in chunks:
        outcome = replace(
            outcome,
            usage=chunk.usage or outcome.usage,
            model=chunk.model or outcome.model,
            finish_reason=chunk.finish_reason or outcome.finish_reason,
        )
    return outcome
