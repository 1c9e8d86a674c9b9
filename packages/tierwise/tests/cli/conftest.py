"""The real command line, in this process, on a scripted Ollama over real HTTP."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tierwise.cli import main
from tierwise.fleet.discovery import KEYS
from tierwise.testing.provider import LoopbackProvider, Reply

BILLION = 1_000_000_000


@dataclass(frozen=True)
class Result:
    """What a command printed, and how it left."""

    code: object
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def provider() -> Iterator[LoopbackProvider]:
    with LoopbackProvider() as running:
        running.describe("qwen3:4b", parameters=4 * BILLION, context_length=40_960)
        running.describe("qwen3:32b", parameters=32 * BILLION)
        running.on("qwen3:4b", Reply(text="four"))
        running.on("qwen3:32b", Reply(json={"reason": "right", "score": 9}))
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and no keys."""
    monkeypatch.chdir(tmp_path)
    for name in (*(name for names in KEYS.values() for name in names), "TIERWISE_CONFIG", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def tierwise(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as left:
            main(arguments)
        shown = capsys.readouterr()
        return Result(left.value.code, shown.out, shown.err)

    return run


@pytest.fixture
def settings(home: Path, provider: LoopbackProvider) -> Path:
    """A file with two tiers and a ledger."""
    path = home / "tierwise.toml"
    path.write_text(
        f"""\
[tiers]
small = "ollama:qwen3:4b"
large = "ollama:qwen3:32b"

[ledger]
path = "calls.db"

[backends.ollama]
host = "{provider.url}"
""",
        encoding="utf-8",
    )
    return path
