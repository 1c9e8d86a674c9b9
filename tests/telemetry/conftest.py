from __future__ import annotations

from collections.abc import Iterator

import pytest
from tierwise.testing.provider import LoopbackProvider, Reply

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("tierwise_ollama")

from .recording import Recording


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        running.on("small", Reply(text="From small."))
        running.on("large", Reply(text="From large, at length."))
        yield running


@pytest.fixture
def recording() -> Recording:
    return Recording()
