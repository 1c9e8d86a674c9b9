"""The published backends pass the suite that they ask others to pass."""

from __future__ import annotations

import pytest
from tierwise import ModelSpec
from tierwise.backends import Backend
from tierwise.testing.conformance import BackendConformance
from tierwise.testing.provider import LoopbackProvider


class TestOllama(BackendConformance):
    needs_credential = False

    def backend(self, provider: LoopbackProvider, model: str) -> tuple[Backend, ModelSpec]:
        ollama = pytest.importorskip("tierwise_ollama")
        return ollama.OllamaBackend(provider.url), ModelSpec(f"ollama:{model}")
