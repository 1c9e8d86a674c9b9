from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.attempt import Attempt
from tierwise.errors import ContextOverflowError
from tierwise.fleet.model import ModelSpec
from tierwise.task import Task
from tierwise.testing.provider import LoopbackProvider, Reply, Usage
from tierwise_ollama import OllamaBackend
from tierwise_ollama.window import SMALLEST, WindowSizes

if TYPE_CHECKING:
    from .conftest import Replay
else:
    Replay = Any

LONG = "The quick brown fox. " * 1_000


def attempt(prompt: str = "Hi.", *, model: ModelSpec | None = None, **fields: Any) -> Attempt:
    return Attempt(Task(prompt, **fields), model or ModelSpec("ollama:m"))


def sizes(provider: LoopbackProvider) -> list[int]:
    return [call.options["num_ctx"] for call in provider.calls]


@given(st.integers(1, 200_000), st.none() | st.integers(1, 50_000), st.none() | st.integers(1, 300_000))
def test_a_fitted_context_is_a_power_of_two_that_holds_the_call_or_all_the_model_has(
    prompt: int, answer: int | None, window: int | None
) -> None:
    size = WindowSizes().fit("m", prompt, answer, window)
    if window is None or size != window:
        assert size >= SMALLEST
        assert size.bit_count() == 1
        assert size >= prompt + (answer or 0)
        assert window is None or size < window
    else:
        assert window <= max(2 * (prompt + (answer or 2048)), SMALLEST)


def test_it_never_shrinks_so_that_the_model_stays_loaded(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello"))
    provider.describe("m", context_length=131_072)
    for prompt in ("Hi.", LONG, "Hi."):
        backend.call(attempt(prompt))
    assert sizes(provider) == [4096, 16_384, 16_384]


def test_it_is_bounded_by_what_the_model_was_trained_for(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.on("m", Reply(text="Hello"))
    provider.describe("m", context_length=3_000)
    backend.call(attempt("Hi."))
    assert sizes(provider) == [3_000]


def test_what_the_user_chose_goes_first(provider: LoopbackProvider) -> None:
    provider.on("m", Reply(text="Hello"))
    backend = OllamaBackend(provider.url, num_ctx=1024)
    backend.call(attempt())
    backend.call(attempt(model=ModelSpec("ollama:m", options={"num_ctx": 512})))
    backend.call(attempt(model=ModelSpec("ollama:m", num_ctx=256)))
    assert sizes(provider) == [1024, 512, 256]


def test_a_prompt_that_does_not_fit_is_refused_with_figures_and_mend(replay: Replay) -> None:
    replay.recorded("47_trunc_shift_false_stream", "/api/chat")
    replay.on("/api/show", {"model_info": {"general.architecture": "llama", "llama.context_length": 8192}})
    with pytest.raises(ContextOverflowError) as refused:
        OllamaBackend(replay.url).call(attempt(model=ModelSpec("ollama:m", num_ctx=256)))
    for part in ("1120 tokens", "num_ctx=256", "larger num_ctx (the model was trained for 8192)"):
        assert part in str(refused.value)
    assert refused.value.status == 400
    assert (replay.bodies["/api/chat"]["truncate"], replay.bodies["/api/chat"]["shift"]) == (False, False)


def test_a_fitted_context_that_proved_too_small_is_fitted_anew(
    provider: LoopbackProvider, backend: OllamaBackend
) -> None:
    refusal = '{"error":{"code":400,"message":"request (9000 tokens) exceeds the available context size (4096 tokens)",'
    refusal += '"type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}'
    provider.describe("m", context_length=131_072)
    provider.on("m", Reply(status=400, error=refusal), Reply(text="Hello"))
    assert backend.call(attempt(max_output_tokens=100)).text == "Hello"
    assert sizes(provider) == [4096, 16_384]


def test_a_stream_that_overflows_midway_is_not_begun_again(provider: LoopbackProvider, backend: OllamaBackend) -> None:
    provider.describe("m", context_length=131_072)
    words = '{"error":{"type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}'
    provider.on("m", Reply(text="One two", error_after=1, error=words))
    with pytest.raises(ContextOverflowError, match="9000 tokens"):
        backend.call(attempt())
    assert provider.count() == 1


class TestOldServers:
    """Before 0.12.6 a server cuts a prompt without a word."""

    def test_a_prompt_that_cannot_fit_is_not_sent(self) -> None:
        with LoopbackProvider(version="0.12.5") as old:
            old.on("m", Reply(text="Hello"))
            with pytest.raises(ContextOverflowError, match=r"about 5\d\d\d tokens \(estimated\).*num_ctx=4096"):
                OllamaBackend(old.url, num_ctx=4096).call(attempt(LONG))
            assert old.calls == []

    def test_a_count_that_is_too_low_shows_the_cut(self) -> None:
        with LoopbackProvider(version="0.12.5") as old:
            old.on("m", Reply(text="Hello", usage=Usage(input=2_100)))
            with pytest.raises(ContextOverflowError, match=r"read 2100 tokens of a prompt of about 5\d\d\d"):
                OllamaBackend(old.url, num_ctx=6_000).call(attempt(LONG))

    def test_a_low_count_proves_nothing_where_the_prompt_fits(self) -> None:
        with LoopbackProvider(version="0.12.5") as old:
            old.on("m", Reply(text="Hello", usage=Usage(input=1)))
            assert OllamaBackend(old.url).call(attempt(LONG)).text == "Hello"

    def test_a_new_server_is_trusted_with_it(self, provider: LoopbackProvider) -> None:
        provider.on("m", Reply(text="Hello", usage=Usage(input=1)))
        assert OllamaBackend(provider.url, num_ctx=4096).call(attempt(LONG)).text == "Hello"
