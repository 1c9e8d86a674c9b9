"""`[state]`: the store that a file names is the one that a router has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tierwise.config import load
from tierwise.errors import ConfigFileError
from tierwise.state import MemoryState, RedisState, SQLiteState

MODELS = '[tiers]\nsmall = "a:small"\n\n'

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "tierwise.toml"
        path.write_text(MODELS + text, encoding="utf-8")
        return path

    return written


def state(path: Path, **overrides: Any) -> Any:
    return load(path).router(backends={"*": str}, **overrides).state


def test_the_store_is_the_one_that_is_named(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(state(write("")), MemoryState)
    assert isinstance(state(write('[state]\nstore = "memory"\n')), MemoryState)
    with state(write('[state]\nstore = "sqlite"\npath = "deep/state.db"\nwait = 1\n')) as sqlite:
        assert isinstance(sqlite, SQLiteState)
        assert sqlite.path == tmp_path / "deep" / "state.db"
    monkeypatch.setenv("LIMITS", "redis://127.0.0.1:1/2")
    with state(write('[state]\nstore = "redis"\nurl_env = "LIMITS"\nprefix = "mine"\n')) as redis:
        assert isinstance(redis, RedisState)
    given = MemoryState()
    monkeypatch.delenv("LIMITS")
    assert state(write('[state]\nstore = "redis"\nurl_env = "LIMITS"\n'), state=given) is given


@pytest.mark.parametrize("on_loss", ["fail_open", "fail_closed"])
def test_what_a_lost_store_means(write: Write, on_loss: str) -> None:
    router = load(write(f'[state]\nstore = "memory"\non_loss = "{on_loss}"\n')).router(backends={"*": str})
    assert router._setup.on_state_loss == on_loss


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[state]\n", 4, "needs 'store'"),
        ('[state]\nstore = "sqlight"\n', 5, "did you mean 'sqlite'"),
        ('[state]\nstore = "sqlite"\n', 4, "needs 'path'"),
        ('[state]\nstore = "memory"\npath = "state.db"\n', 6, "unknown key 'path'"),
        ('[state]\nstore = "redis"\nurl = "redis://:secret@host"\n', 6, "did you mean 'url_env'"),
        ('[state]\nstore = "memory"\non_loss = "open"\n', 6, "fail_open"),
    ],
)
def test_a_wrong_setting_names_its_line(write: Write, text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigFileError, match=says) as raised:
        load(write(text))
    assert raised.value.line == line
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("value", ["", "host:6379 with a secret"])
def test_a_wrong_variable_is_named_and_its_value_is_not(
    write: Write, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMITS", value)
    with pytest.raises(ConfigFileError, match=r"line \d: state\.url") as raised:
        state(write('[state]\nstore = "redis"\nurl_env = "LIMITS"\n'))
    assert "secret" not in str(raised.value)
