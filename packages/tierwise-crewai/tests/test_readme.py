"""The README's example, as it stands there."""

import re
from pathlib import Path

import pytest
from tierwise.testing.provider import LoopbackProvider, Reply

README = Path(__file__).parent.parent / "README.md"


def test_the_example_runs(
    provider: LoopbackProvider, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.on("qwen3:4b", Reply(text="Air scatters blue light more than red."))
    provider.on("gpt-5.2", Reply(json={"reason": "It is right.", "score": 9}))
    monkeypatch.setenv("OLLAMA_HOST", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    [example] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(example, str(README), "exec"), {})
    assert "Air scatters blue light" in capsys.readouterr().out
    assert [c.model for c in provider.calls] == ["qwen3:4b", "gpt-5.2"]
