"""`tierwise init`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tierwise.config import load
from tierwise.testing.provider import LoopbackProvider

pytest.importorskip("tierwise_ollama")


def test_writes_a_file_that_works_as_it_is(tierwise: Any, provider: LoopbackProvider, home: Path) -> None:
    result = tierwise("init", "--ollama-host", provider.url)
    assert (result.code, result.out) == (0, "")
    assert "wrote tierwise.toml: small (1), medium (1)" in result.err
    fleet = load(home / "tierwise.toml").fleet
    assert [(t.name, t.models[0].id) for t in fleet.ladder] == [
        ("small", "ollama:qwen3:4b"),
        ("medium", "ollama:qwen3:32b"),
    ]
    assert tierwise("ask", "2 + 2?").out == "four\n"


def test_what_is_commented_out_works_too(
    tierwise: Any, provider: LoopbackProvider, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-never-shown")
    tierwise("init", "--ollama-host", provider.url)
    path = home / "tierwise.toml"
    path.write_text(re.sub("^#(?! |$)", "", path.read_text(), flags=re.MULTILINE), encoding="utf-8")
    config = load(path)
    assert config.fleet.names == ("small", "medium", "anthropic")
    assert config.policy is not None
    assert config.strategy is not None


def test_never_replaces_a_file_unasked(tierwise: Any, provider: LoopbackProvider, home: Path) -> None:
    (home / "tierwise.toml").write_text("# mine\n", encoding="utf-8")
    result = tierwise("init", "--ollama-host", provider.url)
    assert (result.code, result.err) == (2, "tierwise: tierwise.toml is there already: --force replaces it\n")
    assert (home / "tierwise.toml").read_text() == "# mine\n"
    assert tierwise("init", "--force", "--ollama-host", provider.url).code == 0
    assert load(home / "tierwise.toml").fleet.names == ("small", "medium")


def test_without_anything_it_says_how_to_start_an_ollama(tierwise: Any, provider: LoopbackProvider, home: Path) -> None:
    with provider.refusing():
        result = tierwise("init", "--ollama-host", provider.url)
    assert result.code == 4
    assert "ollama serve" in result.err
    assert not (home / "tierwise.toml").exists()


def test_a_cloud_key_is_named_and_no_model_is_chosen(
    tierwise: Any, provider: LoopbackProvider, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-never-shown")
    result = tierwise("init", "--ollama-host", provider.url)
    written = (home / "tierwise.toml").read_text()
    assert "ANTHROPIC_API_KEY is set" in written
    assert {m.provider for m in load(home / "tierwise.toml").fleet.models} == {"ollama"}
    assert "sk-never-shown" not in written + result.err


def test_the_file_may_be_elsewhere(tierwise: Any, provider: LoopbackProvider, home: Path) -> None:
    assert tierwise("init", "--config", "other.toml", "--ollama-host", provider.url).code == 0
    assert tierwise("models", "--config", "other.toml").code == 0
