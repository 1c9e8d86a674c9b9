"""Every example runs, over real HTTP against a provider on loopback."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from tierwise.testing.provider import LoopbackProvider, Reply, Request

EXAMPLES = Path(__file__).parent.parent / "examples"


def answer(request: Request) -> Reply:
    asked = str(request.messages)
    properties: dict[str, object] = (request.schema or {}).get("properties", {})
    if "score" in properties:
        return Reply(json={"reason": "right", "score": 9})
    if "kind" in properties:
        return Reply(json={"kind": "damage" if "broken" in asked else "question"})
    if "number" in properties:
        # The small model makes a number up, which the example's own check has to find.
        return Reply(json={"number": "Z-999" if request.model == "small" else None})
    return Reply(text="We are sorry. We will see to it at once.")


def test_the_inbox_sends_made_up_numbers_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["inbox.py", "--small", "ollama:small", "--large", "ollama:large"]
    with LoopbackProvider() as provider:
        for model in ("small", "large"):
            provider.on(model, answer)
        monkeypatch.setenv("OLLAMA_HOST", provider.url)
        monkeypatch.setattr(sys, "argv", arguments)
        runpy.run_path(str(EXAMPLES / "inbox" / "inbox.py"), run_name="__main__")
        extracted = [call.model for call in provider.calls if "number" in (call.schema or {}).get("properties", {})]
    shown = capsys.readouterr().out
    assert shown.count("We are sorry.") == 3
    assert extracted == ["small", "large"] * 3
    assert "Z-999" not in shown
