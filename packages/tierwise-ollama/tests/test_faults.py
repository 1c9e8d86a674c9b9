from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest
from tierwise.attempt import Attempt
from tierwise.errors import (
    AuthenticationError,
    BackendError,
    BadResponseError,
    CallTimeoutError,
    ConfigError,
    ContextOverflowError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    ServerBusyError,
    UnavailableError,
)
from tierwise.fleet.model import ModelSpec
from tierwise.task import Task
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_ollama import OllamaBackend, Timeouts

if TYPE_CHECKING:
    from .conftest import Replay
else:
    Replay = Any


def _streamed(backend: OllamaBackend, attempt: Attempt) -> None:
    with backend.open(attempt) as chunks:
        list(chunks)


MODES: dict[str, Callable[[OllamaBackend, Attempt], object]] = {
    "sync": OllamaBackend.call,
    "async": lambda backend, attempt: asyncio.run(backend.acall(attempt)),
    "stream": _streamed,
}
ATTEMPT = Attempt(Task("Say hello."), ModelSpec("ollama:m"))


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (Reply(status=400, error="bad"), InvalidRequestError, "bad"),
        (Reply(status=401), AuthenticationError, "ollama signin"),
        (Reply(status=403), AuthenticationError, "refuses requests for the host name '127.0.0.1'"),
        (Reply(status=404), ModelNotFoundError, "`ollama pull m`"),
        (Reply(status=429, retry_after=7), RateLimitError, "too many requests"),
        (Reply(status=500), UnavailableError, "model runner has unexpectedly stopped"),
        (Reply(status=500, error='option "seed" must be of type integer'), InvalidRequestError, "seed"),
        (Reply(status=503), ServerBusyError, "maximum pending requests exceeded"),
        (
            Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}),
            BadResponseError,
            "redirects are not followed",
        ),
        (Reply(text="One two", corrupt="malformed"), BadResponseError, "no JSON"),
        (Reply(text="One two", corrupt="truncated"), BadResponseError, "no JSON"),
        (Reply(corrupt="empty"), BadResponseError, "ended without its last line"),
        (Reply(text="One two", disconnect_after=1), BadResponseError, "broke off the answer of 'm'"),
        (Reply(text="One two", error_after=1, error="out of memory"), BadResponseError, "out of memory"),
        (Reply(refuse=True), UnavailableError, "without an answer"),
    ],
    ids=lambda value: value.error or value.status if isinstance(value, Reply) else None,
)
def test_each_failure_is_told_in_tierwises_words(
    provider: LoopbackProvider, backend: OllamaBackend, reply: Reply, kind: type[BackendError], message: str
) -> None:
    provider.on("m", reply)
    with pytest.raises(kind, match=message) as failed:
        backend.call(ATTEMPT)
    assert type(failed.value) is kind or issubclass(type(failed.value), kind)
    assert backend.is_failure(failed.value)
    assert failed.value.status == (None if reply.status == 200 else reply.status)
    assert failed.value.retry_after == reply.retry_after
    provider.wait_idle()


async def test_async_failures_are_the_same(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(status=503))
    with pytest.raises(ServerBusyError):
        await backend.acall(ATTEMPT)
    provider.on("m", Reply(text="One two", disconnect_after=1))
    with pytest.raises(BadResponseError):
        async with backend.aopen(ATTEMPT) as chunks:
            _ = [c async for c in chunks]


def test_a_server_that_is_not_there_says_how_to_start_it(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    told = r"no Ollama answers at http://127.*`ollama serve`"
    with provider.refusing(), pytest.raises(UnavailableError, match=told) as failed:
        backend.call(ATTEMPT)
    assert not failed.value.reached


def test_a_key_is_told_from_another_and_not_told(backend: OllamaBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ATTEMPT.model
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    assert backend.credential(model) is None
    known: set[str | None] = set()
    for key in ("sk-one-1234567890", "sk-two-1234567890", "sk-one-1234567890"):
        monkeypatch.setenv("OLLAMA_API_KEY", key)
        known.add(backend.credential(model))
        assert key not in str(known)
    assert len(known) == 2


def test_a_model_that_is_not_there_says_how_to_pull_it(backend: OllamaBackend) -> None:
    with pytest.raises(ModelNotFoundError, match=r"does not have 'm': `ollama pull m`") as failed:
        backend.call(ATTEMPT)
    assert failed.value.status == 404


class TestTimeouts:
    @pytest.mark.parametrize(
        ("reply", "phase"),
        [
            (Reply(stall=True), "first_token"),
            (Reply(stall_after=0), "first_token"),
            (Reply(text="a b", stall_after=1), "idle"),
        ],
    )
    @pytest.mark.parametrize("mode", MODES)
    def test_each_wait_has_a_limit_of_its_own(
        self, provider: LoopbackProvider, reply: Reply, phase: str, mode: str
    ) -> None:
        backend = OllamaBackend(provider.url, timeouts=Timeouts(**{phase: 0.3}))
        provider.on("m", reply)
        with pytest.raises(CallTimeoutError, match=rf"waited 0.3 s \({phase}\)"):
            MODES[mode](backend, ATTEMPT)
        provider.wait_until(lambda: [call.client_closed for call in provider.calls] == [True])

    @pytest.mark.parametrize("reply", [Reply(stall=True), Reply(text="a b", stall_after=1)])
    @pytest.mark.parametrize("mode", MODES)
    def test_the_deadline_bounds_all_of_it(self, provider: LoopbackProvider, reply: Reply, mode: str) -> None:
        backend = OllamaBackend(provider.url)
        provider.on("m", reply)
        attempt = Attempt(ATTEMPT.task, ATTEMPT.model, timeout=1.0)
        backend.models()
        with pytest.raises(CallTimeoutError, match=r"the 1 s for this call are over"):
            MODES[mode](backend, attempt)
        provider.wait_until(lambda: [call.client_closed for call in provider.calls] == [True])

    def test_one_that_is_none_is_named(self) -> None:
        with pytest.raises(ConfigError, match=r"idle=0 must be above zero"):
            Timeouts(idle=0)


class TestClosing:
    """Leaving a call closes its connection, which makes the server stop."""

    REPLY = Reply(text="One two three", stall_after=1)

    def test_leaving_a_sync_stream(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", self.REPLY)
        with backend.open(ATTEMPT) as chunks:
            assert next(chunks).text == "One"
        provider.wait_idle()
        assert provider.calls[0].client_closed

    async def test_leaving_an_async_stream(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", self.REPLY)
        async with backend.aopen(ATTEMPT) as chunks:
            assert (await anext(chunks)).text == "One"
        await asyncio.to_thread(provider.wait_idle)
        assert provider.calls[0].client_closed

    async def test_cancelling_a_call(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", Reply(stall=True))
        call = asyncio.create_task(backend.acall(ATTEMPT))
        await asyncio.to_thread(provider.wait_until, lambda: provider.open_calls == 1)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        await asyncio.to_thread(provider.wait_idle)
        assert provider.calls[0].client_closed

    @pytest.mark.skipif(sys.platform == "win32", reason="a thread cannot be sent a signal there")
    def test_an_interrupt_while_a_sync_call_waits(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        def interrupt() -> None:
            provider.wait_until(lambda: provider.open_calls == 1)
            signal.pthread_kill(caller, signal.SIGINT)

        caller = threading.get_ident()
        provider.on("m", Reply(stall=True))
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            backend.call(ATTEMPT)
        interrupter.join()
        provider.wait_idle()
        assert provider.calls[0].client_closed

    @pytest.mark.skipif(sys.platform == "win32", reason="a thread cannot be sent a signal there")
    def test_an_interrupt_while_a_sync_stream_waits(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        def interrupt() -> None:
            shown.wait()
            time.sleep(0.05)  # the caller then waits for the second chunk, and not between two
            signal.pthread_kill(caller, signal.SIGINT)

        def read(chunks: Iterable[object]) -> None:
            for _ in chunks:
                shown.set()

        caller, shown = threading.get_ident(), threading.Event()
        provider.on("m", self.REPLY)
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt), backend.open(ATTEMPT) as chunks:
            read(chunks)
        interrupter.join()
        provider.wait_idle()
        assert provider.calls[0].client_closed

    def test_an_error_of_the_consumers_own(self, provider: LoopbackProvider, backend: OllamaBackend) -> None:
        provider.on("m", self.REPLY)
        with pytest.raises(ZeroDivisionError), backend.open(ATTEMPT) as chunks:
            assert len(next(chunks).text) / 0
        provider.wait_idle()
        assert provider.calls[0].client_closed


class TestRecorded:
    """Answers of a real server."""

    @pytest.mark.parametrize(
        ("name", "kind", "message"),
        [
            ("11_tools_unsupported", InvalidRequestError, "does not support tools"),
            ("15_missing_model_0", ModelNotFoundError, "`ollama pull m`"),
            ("21_bad_option_type", InvalidRequestError, "must be of type integer"),
            ("26_bad_host", AuthenticationError, "OLLAMA_HOST=0.0.0.0"),
            ("45_shift_false", ContextOverflowError, "longer than the context length"),
            ("47_trunc_shift_false_stream", ContextOverflowError, "1120 tokens .* num_ctx=256"),
            ("04_load_only", BadResponseError, "no more than to load it"),
        ],
    )
    def test_failures(self, replay: Replay, name: str, kind: type[BackendError], message: str) -> None:
        replay.recorded(name, "/api/chat")
        model = ModelSpec("ollama:m", num_ctx=256)
        with pytest.raises(kind, match=message):
            OllamaBackend(replay.url).call(Attempt(ATTEMPT.task, model))

    def test_embeddings_that_the_model_cannot_make(self, replay: Replay) -> None:
        replay.recorded("50_embed")
        with pytest.raises(UnavailableError, match="does not support embeddings"):
            OllamaBackend(replay.url).embed(["hello"], "ollama:m")

    @pytest.mark.parametrize("name", ["06_chat_nonstream", "07_chat_stream"])
    def test_answers(self, replay: Replay, name: str) -> None:
        replay.recorded(name)
        outcome = OllamaBackend(replay.url).call(ATTEMPT)
        assert outcome.text.startswith("Hello there")
        assert (outcome.finish_reason, outcome.model) == ("length", "smollm2:135m")
        assert outcome.usage is not None
        assert outcome.usage.input_tokens == 12

    def test_log_probabilities(self, replay: Replay) -> None:
        replay.recorded("09_chat_stream_logprobs")
        outcome = OllamaBackend(replay.url).call(Attempt(ATTEMPT.task, ATTEMPT.model, logprobs=True))
        assert outcome.logprobs == (-1.8652703762054443, -0.8452733159065247, -1.057647943496704)
