from __future__ import annotations

from importlib import import_module

import pytest
import tierwise
from tierwise import errors

ROOMS = [
    "fleet",
    "policies",
    "strategies",
    "verifiers",
    "backends",
    "state",
    "limits",
    "ledger",
    "config",
    "audit",
    "telemetry",
    "testing",
]


def test_the_public_names_are_these() -> None:
    assert sorted(tierwise.__all__) == [
        "ActStep",
        "AfterError",
        "Agreement",
        "Always",
        "Attempt",
        "BestOf",
        "Budget",
        "Cascade",
        "Cheapest",
        "Check",
        "CircuitBreaker",
        "Classifier",
        "Complexity",
        "Context",
        "Decision",
        "FREE",
        "Fastest",
        "Fleet",
        "HighStakes",
        "JobTable",
        "Judge",
        "LabelTable",
        "Logprob",
        "LongerThan",
        "Message",
        "ModelLimits",
        "ModelSpec",
        "Needs",
        "NotEmpty",
        "NotRefusal",
        "Observe",
        "Outcome",
        "Perspectives",
        "PlanStep",
        "Price",
        "RateLimit",
        "Receipt",
        "RedisState",
        "Reply",
        "Retry",
        "Router",
        "Rule",
        "SQLiteLedger",
        "SQLiteState",
        "Sandwich",
        "SessionAffinity",
        "Single",
        "Specialists",
        "Stalled",
        "Task",
        "Telemetry",
        "Tier",
        "TierwiseError",
        "Tool",
        "ToolCall",
        "Usage",
        "ValidOutput",
        "ValidToolCalls",
        "Verdict",
        "Vote",
    ]


@pytest.mark.parametrize("module", ["tierwise", *(f"tierwise.{room}" for room in ROOMS)])
def test_every_public_name_is_there(module: str) -> None:
    loaded = import_module(module)
    for name in loaded.__all__:
        assert getattr(loaded, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = loaded.Nonsense


def test_every_error_is_one_of_ours() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.TierwiseError)
