from __future__ import annotations

import re
from pathlib import Path

import pytest
from tierwise.testing.provider import LoopbackProvider, Reply

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_readmes_code_runs(
    block: str, provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", provider.url)
    provider.on("qwen3:4b", Reply(text="An apple."))
    provider.on("qwen3:30b", Reply(json={"score": 9, "reason": "right"}))
    provider.describe("nomic-embed-text", capabilities=["embedding"])
    exec(compile(block, str(README), "exec"), {})
