"""`[limits]`: what a file says of limits is what a router does, and a slip names its line."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tierwise import Router
from tierwise.config import load
from tierwise.errors import AllModelsFailedError, BudgetExceededError, ConfigFileError, TooManyCallsError
from tierwise.testing import ScriptedBackend
from tierwise.testing.scripted import Step

MODELS = '[tiers]\nsmall = "x:small"\nlarge = "x:large"\n[strategy]\nname = "single"\n'
FIRST = MODELS.count("\n") + 1

Write = Callable[[str], Path]
BUSY: Step = ConnectionResetError("busy")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "tierwise.toml"
        path.write_text(MODELS + text, encoding="utf-8")
        return path

    return written


def router(path: Path, **overrides: Any) -> tuple[Router, ScriptedBackend]:
    backend = ScriptedBackend({"small": BUSY, "large": "fine"})
    return load(path).router(backends={"x": backend}, **overrides), backend


def test_nothing_is_limited_that_the_file_does_not_limit(write: Write) -> None:
    for text in ("", "[limits]\n"):
        made, backend = router(write(text))
        for _ in range(10):
            made.run("q")
        assert backend.asked == ["x:small", "x:large"] * 10


def test_a_circuit_of_the_file_opens(write: Write) -> None:
    made, backend = router(write("[limits.circuit]\nfailures = 2\ncooldown = 60\n"))
    for _ in range(4):
        made.run("q")
    assert backend.asked.count("x:small") == 2


def test_a_retry_of_the_file_tries_again(write: Write) -> None:
    made, backend = router(write("[limits.retry]\ntotal = 5\neach = 2\npause = 0\n"))
    made.run("q")
    assert backend.asked == ["x:small"] * 3 + ["x:large"]
    made, backend = router(write("[limits.retry]\npause = 0.001\n"), retry=None)
    made.run("q")
    assert backend.asked == ["x:small", "x:large"], "what is given in code holds"


def test_a_bound_on_the_calls_of_a_run(write: Write) -> None:
    made, backend = router(write("[limits]\nmax_calls = 1\n"))
    with pytest.raises(TooManyCallsError):
        made.run("q")
    assert backend.asked == ["x:small"]


def test_budgets_of_the_file_count(write: Write) -> None:
    text = """\
[[limits.budget]]
tokens = 100_000
per = "session"
name = "own"

[[limits.budget]]
usd = 0.1
tag = "team:a"
timezone = "Europe/Berlin"
estimate = { input = 1, output = 1000 }
on_exhausted = "stop"
"""
    made, backend = router(write(text))
    assert made.run("q", session="s", max_output_tokens=10).text == "fine"
    with pytest.raises(BudgetExceededError) as caught:
        made.run("q", tags=["team:a"], max_output_tokens=101)
    assert (caught.value.allowed, caught.value.unit) == (Decimal("0.1"), "usd")
    assert len(backend.asked) == 2


def test_a_downgrade_of_the_file(write: Write) -> None:
    text = '[[limits.budget]]\ntokens = 10\non_exhausted = "downgrade"\n'
    made, _ = router(write(text))
    with pytest.raises(AllModelsFailedError):
        made.run("q")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[limits]\nmax_cals = 3\n", 1, "did you mean 'max_calls'"),
        ("[limits]\nmax_calls = 0\n", 1, "must be one or more"),
        ("[limits.circuit]\nfailures = 0\n", 1, "failures=0 must be above zero"),
        ("[limits.circuit]\ncooldown = 5\nlongest = 1\n", 2, "must not be below cooldown"),
        ("[limits.circuit]\ncooldown = true\n", 1, "must be a number"),
        ("[limits.circuit]\ncool = 1\n", 1, "did you mean 'cooldown'"),
        ("[limits.retry]\ntotal = -1\n", 1, "total=-1 must be zero or more"),
        ("[limits.retry]\ntries = 1\n", 1, "unknown key 'tries'"),
        ("[[limits.budget]]\nusd = 1\n[[limits.budget]]\nusd = -2\n", 3, "above zero"),
        ("[[limits.budget]]\nper = 'day'\n", 1, "needs a cap"),
        ("[[limits.budget]]\nusd = 1\nper = 'dai'\n", 2, "did you mean 'day'"),
        ("[[limits.budget]]\nusd = 1\ntimezone = 'Europe/Berlim'\n", 2, "Europe/Berlim"),
        ("[[limits.budget]]\nusd = 1\nestimate = { input = 1 }\n", 2, "needs 'output'"),
        ("[[limits.budget]]\nusd = 1\n[[limits.budget]]\nusd = 2\n", 0, "two limits are named 'total budget'"),
    ],
)
def test_a_slip_names_its_line(write: Write, text: str, line: int, says: str) -> None:
    path = write(text)
    with pytest.raises(ConfigFileError, match=says) as caught:
        load(path)
    assert caught.value.line == FIRST + line


def test_a_rate_of_the_file_holds(write: Write) -> None:
    backend = ScriptedBackend({"*": "fine"})
    text = "[limits.rate]\nwait = 0\n[limits.rate.models.x]\nrequests_per_minute = 2\n"
    made = load(write(text)).router(backends={"x": backend})
    for _ in range(3):
        made.run("q")
    assert backend.asked == ["x:small", "x:small", "x:large"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[limits.rate.models."x:smal"]\nconcurrency = 1\n', 1, "did you mean 'x:small'"),
        ("[limits.rate.models.x]\nconcurency = 1\n", 2, "did you mean 'concurrency'"),
        ("[limits.rate.models.x]\ntokens_per_minute = 0\n", 2, "tokens_per_minute=0 must be above zero"),
        ("[limits.rate]\nwait = -1\n", 2, "wait=-1.0 must be zero or more"),
        ("[limits.rate]\nlocal = 0\n", 2, "local=0 must be above zero"),
    ],
)
def test_a_slip_in_a_rate_names_its_line(write: Write, text: str, line: int, message: str) -> None:
    with pytest.raises(ConfigFileError, match=message) as caught:
        load(write(text))
    assert caught.value.line == FIRST - 1 + line
