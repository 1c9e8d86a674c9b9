from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tierwise import Telemetry
from tierwise.testing.provider import LoopbackProvider

from .scene import CANARY, STREAMED, WAYS, Scene, Way


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        yield running


@pytest.fixture
def scene(
    provider: LoopbackProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Scene]:
    """A scene, and after the test what holds after every fault: rows, reservations, secrets, threads."""
    monkeypatch.setenv("OLLAMA_API_KEY", CANARY)
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    folder = tmp_path / "kept"
    folder.mkdir()
    before = set(threading.enumerate())
    exporter, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry = Telemetry(tracer_provider=tracers, content=True)
    made = Scene(
        provider, folder, telemetry=telemetry, spans=lambda: [s.to_json() for s in exporter.get_finished_spans()]
    )
    with caplog.at_level(logging.DEBUG, logger="tierwise"):
        yield made
    made.check(caplog.text)
    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("tierwise")]
    assert left == []


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.fixture(params=STREAMED)
def streamed(request: pytest.FixtureRequest) -> Way:
    return request.param
