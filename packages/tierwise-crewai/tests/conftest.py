from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_ENVIRONMENT = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
}

with pytest.MonkeyPatch.context() as patch:
    # Read when CrewAI is imported, and again by its threads: they stay for the whole session.
    for _name, _value in _ENVIRONMENT.items():
        patch.setenv(_name, _value)
    from crewai import LLM, BaseLLM
    from tierwise import Cascade, Fleet, ModelSpec, Outcome, Price, Reply, Router, Tier
    from tierwise.policies import JobTable
    from tierwise.testing.provider import LoopbackProvider
    from tierwise.verifiers import ValidOutput, ValidToolCalls
    from tierwise_crewai import RoutedLLM


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path))


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        yield running
        running.wait_idle()


def short(outcome: Outcome) -> bool:
    """A draft that is long is rejected: the tests' way to send an answer up a tier."""
    return len(outcome.text) < 40


@pytest.fixture
def replies() -> list[Reply]:
    return []


@pytest.fixture
def models(provider: LoopbackProvider) -> dict[str, BaseLLM]:
    large: Any = LLM(model="openai/large", base_url=provider.openai_url, api_key="key", max_retries=0)
    small: Any = LLM(model="ollama/small", base_url=provider.openai_url, max_retries=0)
    return {"small": small, "large": large}


@pytest.fixture
def routed(models: dict[str, BaseLLM], replies: list[Reply]) -> Callable[..., RoutedLLM]:
    def make(*, verifier: Any = None, policy: Any = None, **fields: Any) -> RoutedLLM:
        fleet = Fleet(
            [
                Tier("small", ["ollama:small"]),
                Tier("large", [ModelSpec("openai:large", price=Price(2, 8))]),
            ]
        )
        checks = verifier if verifier is not None else ValidOutput() & ValidToolCalls() & short
        # The job alone decides, unless a test asks for the rules of steps.
        router = Router(fleet, policy=policy or JobTable(), strategy=Cascade(checks))
        return RoutedLLM(router, models=models, on_reply=replies.append, **fields)

    return make
