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
        return Reply(json={"number": "Z-999" if request.model.startswith("small") else None})
    return Reply(text="We are sorry. We will see to it at once.")


def run_inbox(monkeypatch: pytest.MonkeyPatch, provider: LoopbackProvider, *, large: str) -> None:
    provider.on("small", answer)
    provider.on(large, answer)
    monkeypatch.setenv("OLLAMA_HOST", provider.url)
    monkeypatch.setattr(sys, "argv", ["inbox.py", "--small", "ollama:small", "--large", f"ollama:{large}"])
    runpy.run_path(str(EXAMPLES / "inbox" / "inbox.py"), run_name="__main__")


def test_the_inbox_sends_made_up_numbers_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with LoopbackProvider() as provider:
        run_inbox(monkeypatch, provider, large="large")
        extracted = [call.model for call in provider.calls if "number" in (call.schema or {}).get("properties", {})]
    shown = capsys.readouterr().out
    assert shown.count("We are sorry.") == 3
    assert extracted == ["small", "large"] * 3
    assert "Z-999" not in shown


def test_the_inbox_hands_what_no_model_can_do_to_a_person(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with LoopbackProvider() as provider:
        run_inbox(monkeypatch, provider, large="small-too")
        made = provider.count()
    shown = capsys.readouterr().out
    assert shown.count("for a person to answer") == 3
    assert f"calls             {made}\n" in shown
