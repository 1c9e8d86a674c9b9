"""A thread that one process leaves waiting, and another goes on with."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from tierwise.testing.provider import LoopbackProvider, Reply

GRAPH = Path(__file__).parent / "checkpointed_graph.py"


def run(*arguments: str) -> Any:
    done = subprocess.run([sys.executable, str(GRAPH), *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def test_a_thread_that_another_process_resumes_still_reaches_its_receipt(
    provider: LoopbackProvider, tmp_path: Path
) -> None:
    provider.on("large", Reply(text="Because."), Reply(text="Then it rained."))
    waiting = run(str(tmp_path), provider.url, "first")
    assert (waiting["said"], provider.count()) == (["Why?", "Because."], 1)
    done = run(str(tmp_path), provider.url, "resumed")
    assert done["said"] == ["Why?", "Because.", "And then?", "Then it rained."]
    # The decision of the first process holds in the second, and no step is paid for twice.
    assert [call.model for call in provider.calls] == ["large", "large"]
    assert done["rows"] == [["ollama:large", "draft", "t1"], ["ollama:large", "final", "t1"]]
    assert Decimal(done["cost"]) == Decimal(done["kept"]) > Decimal(waiting["cost"]) > 0
