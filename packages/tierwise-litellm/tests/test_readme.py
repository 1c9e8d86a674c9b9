"""The README's code runs, against a provider on this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from asking import CANARY
from tierwise.testing.provider import LoopbackProvider, Reply

README = Path(__file__).parent.parent / "README.md"


def test_the_code_runs(
    provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    provider.on("gpt-5-mini", Reply(text="Oslo."))
    provider.on("gpt-5.2", Reply(json={"reason": "right", "score": 10}))
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        names: dict[str, Any] = {}
        exec(compile(block, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("Oslo.")
    assert printed.endswith("local\n")
