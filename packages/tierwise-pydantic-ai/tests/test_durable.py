"""An agent that DBOS keeps: killed between two steps, and resumed."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

from tierwise.testing.provider import Call, LoopbackProvider, Reply

AGENT = Path(__file__).parent / "durable_agent.py"


async def test_a_killed_run_goes_on_without_paying_twice(provider: LoopbackProvider, tmp_path: Path) -> None:
    provider.on(
        "small",
        Reply(tool_calls=[Call("weather", {"city": "Oslo"})]),
        Reply(text="This draft is far too long to be accepted"),
    )
    provider.on("large", Reply(text="Rain."))

    def started(phase: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(AGENT), str(tmp_path), provider.openai_url, phase]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    killed = await asyncio.to_thread(started, "first")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [c.model for c in provider.calls] == ["small"]
    resumed = await asyncio.to_thread(started, "resumed")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout.splitlines()[-1]) == {
        "output": "Rain.",
        "calls": [["ollama:small", "answer"], ["ollama:small", "draft"], ["openai:large", "answer"]],
    }
    assert [c.model for c in provider.calls] == ["small", "small", "large"]
