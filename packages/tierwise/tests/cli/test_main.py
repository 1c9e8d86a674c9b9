"""How commands leave: exit codes, one line for an error, and silence where no person reads."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tierwise.cli
from tierwise.attempt import Attempt, Outcome
from tierwise.cli.exits import Exit, exit_of
from tierwise.errors import (
    AllModelsFailedError,
    ConfigError,
    DeadlineError,
    LedgerError,
    LimitError,
    NoModelError,
    RateLimitError,
    TrustError,
    UnavailableError,
)
from tierwise.fleet import ModelSpec
from tierwise.task import Task
from tierwise.testing.provider import LoopbackProvider, Reply


def failed(*errors: Exception) -> AllModelsFailedError:
    attempt = Attempt(Task("x"), ModelSpec("a:b"))
    return AllModelsFailedError([Outcome(attempt, error=e) for e in errors])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), Exit.USAGE),
        (TrustError("x"), Exit.REFUSED),
        (NoModelError("x"), Exit.REFUSED),
        (LimitError("x", limit="budget"), Exit.REFUSED),
        (FileNotFoundError("x"), Exit.USAGE),
        (LedgerError("x"), Exit.LEDGER),
        (DeadlineError(1.0), Exit.FAILED),
        (UnavailableError("x"), Exit.UNREACHABLE),
        (failed(UnavailableError("x"), UnavailableError("y")), Exit.UNREACHABLE),
        (failed(UnavailableError("x"), RateLimitError("y")), Exit.FAILED),
        (failed(LimitError("x", limit="budget")), Exit.REFUSED),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (KeyError("x"), Exit.DEFECT),
    ],
)
def test_every_error_has_its_exit_code(error: BaseException, code: Exit) -> None:
    assert exit_of(error) == code


def test_the_exit_codes_are_documented() -> None:
    for code in Exit:
        assert f"| {code.value} |" in (tierwise.cli.__doc__ or "")


def test_help_names_every_command_and_the_exit_codes(tierwise: Any) -> None:
    result = tierwise("--help")
    assert (result.code, result.err) == (0, "")
    for word in ("init", "models", "ask", "receipt", "ledger", "audit", "demo", "--debug", "Exit codes: 0 done"):
        assert word in result.out


@pytest.mark.parametrize("command", ["init", "models", "ask", "receipt", "ledger", "audit", "demo"])
def test_every_command_has_help(tierwise: Any, command: str) -> None:
    result = tierwise(command, "--help")
    assert result.code == 0
    assert f"tierwise {command}" in result.out


def test_an_unknown_command_is_wrong_usage(tierwise: Any) -> None:
    result = tierwise("aks")
    assert (result.code, result.out) == (2, "")
    assert "aks" in result.err


def test_a_typo_in_the_settings_names_the_line(tierwise: Any, home: Path) -> None:
    (home / "tierwise.toml").write_text('[tiers]\nsmall = "ollama:x"\n\n[stratgy]\n', encoding="utf-8")
    result = tierwise("models")
    assert result.code == 2
    assert result.err == ("tierwise: tierwise.toml, line 4: stratgy: unknown key 'stratgy'; did you mean 'strategy'?\n")


def run(*arguments: str, cwd: Path, code: str = "from tierwise.cli import main; main()") -> Any:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, env=environment, timeout=60
    )


def test_as_a_process_it_is_plain(settings: Path, provider: LoopbackProvider) -> None:
    pytest.importorskip("tierwise_ollama")
    answered = run("ask", "2 + 2?", cwd=settings.parent)
    assert (answered.returncode, answered.stdout, answered.stderr) == (0, "four\n", "")
    shown = run("receipt", cwd=settings.parent)
    assert shown.returncode == 0
    assert "ollama:qwen3:4b" in shown.stdout
    assert "\x1b" not in shown.stdout + shown.stderr
    wrong = run("models", "--config", "none.toml", cwd=settings.parent)
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_interrupting_closes_the_call(settings: Path, provider: LoopbackProvider) -> None:
    pytest.importorskip("tierwise_ollama")
    provider.on("qwen3:4b", Reply(text="never", first_token_delay=60))
    code = "from tierwise.cli import main; main(['ask', '2 + 2?'])"
    asking = subprocess.Popen(
        [sys.executable, "-c", code], cwd=settings.parent, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    provider.wait_until(lambda: provider.open_calls == 1, timeout=60)
    asking.send_signal(signal.SIGINT)
    assert asking.communicate(timeout=60)[1] == "tierwise: interrupted\n"
    assert asking.returncode == 130
    provider.wait_idle(timeout=60)


async def test_a_reader_that_has_read_enough_is_no_error(settings: Path, home: Path) -> None:
    pytest.importorskip("tierwise_ollama")
    code = "import os, sys\nos.close(1)\nr, w = os.pipe()\nos.close(r)\nassert w == 1 or os.dup2(w, 1)\n"
    code += "from tierwise.cli import main; main(['models'])"
    ended = await asyncio.to_thread(run, cwd=home, code=code)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_without_the_extra_it_names_the_command(tmp_path: Path) -> None:
    code = "import sys; sys.modules['cyclopts'] = None; from tierwise.cli import main; main(['ask'])"
    ended = run(cwd=tmp_path, code=code)
    assert ended.returncode == 2
    assert ended.stderr == 'tierwise: the command line needs tierwise[cli]: pip install "tierwise[cli]"\n'
