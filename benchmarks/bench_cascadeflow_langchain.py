"""cascadeflow's chat model for LangChain beside its own target, which answers at once. In an environment of its own."""

from __future__ import annotations

from typing import Any

import pytest
from cascadeflow.integrations.langchain import CascadeFlow
from instant_chat import Instant, calls
from tasks import LENGTHS, request

SHORT = request(150)
BARE = Instant()


def routed() -> CascadeFlow:
    # Whatever the draft scores it is accepted, so that one call is compared with one call.
    return CascadeFlow(BARE, BARE, quality_threshold=0.0)


def measure(benchmark: Any, function: Any, rounds: int = 200) -> None:
    benchmark.pedantic(function, rounds=rounds, warmup_rounds=10)


@pytest.mark.parametrize("length", LENGTHS)
def test_routed_by_length(benchmark: Any, length: int) -> None:
    measure(benchmark, calls(routed(), request(length))["sync"], rounds=20)


def test_direct_sync(benchmark: Any) -> None:
    measure(benchmark, calls(BARE, SHORT)["sync"])


def test_routed_sync(benchmark: Any) -> None:
    measure(benchmark, calls(routed(), SHORT)["sync"])


def test_direct_async(benchmark: Any) -> None:
    measure(benchmark, calls(BARE, SHORT)["async"])


def test_routed_async(benchmark: Any) -> None:
    measure(benchmark, calls(routed(), SHORT)["async"])


def test_direct_stream(benchmark: Any) -> None:
    measure(benchmark, calls(BARE, SHORT)["stream"])


def test_routed_stream(benchmark: Any) -> None:
    measure(benchmark, calls(routed(), SHORT)["stream"])
