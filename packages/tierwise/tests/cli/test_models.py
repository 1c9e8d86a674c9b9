"""`tierwise models`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tierwise.testing.provider import LoopbackProvider

pytest.importorskip("tierwise_ollama")


def lines(out: str) -> list[list[str]]:
    return [line.split("\t") for line in out.splitlines()]


@pytest.mark.usefixtures("settings")
def test_shows_each_model_on_a_line(tierwise: Any) -> None:
    result = tierwise("models")
    assert result.code == 0
    headings, small, large = lines(result.out)
    assert dict(zip(headings, small, strict=True)) == {
        "tier": "small",
        "model": "ollama:qwen3:4b",
        "USD per million in / out": "free",
        "window": "40,960",
        "capabilities": "json_schema, logprobs, thinking, tools",
        "trust": "local",
        "reachable": "yes",
    }
    assert large[:2] == ["large", "ollama:qwen3:32b"]


def test_a_cloud_model_has_its_listed_price_and_says_what_is_missing(
    tierwise: Any, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.write_text(settings.read_text().replace('"ollama:qwen3:32b"', '"openai:gpt-4o"'), encoding="utf-8")
    _, _, cloud = lines(tierwise("models").out)
    assert cloud[1:4] == ["openai:gpt-4o", "2.5 / 10", "128,000"]
    assert cloud[5] == "any"
    assert cloud[6].startswith("no: ")
    assert "tierwise-litellm" in cloud[6] or "OPENAI_API_KEY is not set" in cloud[6]


def test_a_price_that_is_not_known_is_unknown(tierwise: Any, settings: Path) -> None:
    settings.write_text(settings.read_text().replace('"ollama:qwen3:32b"', '"openai:gpt-unheard-of"'), encoding="utf-8")
    _, _, cloud = lines(tierwise("models").out)
    assert cloud[2:5] == ["unknown", "unknown", "unknown"]


@pytest.mark.usefixtures("settings")
def test_out_of_reach_says_why(tierwise: Any, provider: LoopbackProvider) -> None:
    with provider.refusing():
        result = tierwise("models")
    assert result.code == 4
    assert result.out.count("ollama serve") == 2


def test_a_model_that_is_missing_is_pulled_on_request(
    tierwise: Any, settings: Path, provider: LoopbackProvider
) -> None:
    provider.describe("gemma3:1b", pulled=False)
    settings.write_text(settings.read_text().replace("qwen3:32b", "gemma3:1b"), encoding="utf-8")
    assert "no: not pulled: ollama pull gemma3:1b" in tierwise("models").out
    result = tierwise("models", "--pull")
    assert result.code == 0
    assert "not pulled" not in result.out
    assert "pulling gemma3:1b" in result.err


def test_a_model_that_cannot_be_pulled_says_so(tierwise: Any, settings: Path) -> None:
    settings.write_text(settings.read_text().replace("qwen3:32b", "qwen99:1b"), encoding="utf-8")
    result = tierwise("models", "--pull")
    assert result.code == 4
    assert "could not pull 'qwen99:1b'" in result.err


@pytest.mark.usefixtures("settings")
def test_json_for_programs(tierwise: Any) -> None:
    small, large = json.loads(tierwise("models", "--json").out)
    assert (small["model"], small["window"], small["unreachable"]) == ("ollama:qwen3:4b", 40_960, None)
    assert large["price"]["source"] == "local"


def test_an_option_of_a_backend_that_does_not_exist_names_its_line(tierwise: Any, settings: Path) -> None:
    settings.write_text(settings.read_text(encoding="utf-8").replace("host =", "hots ="), encoding="utf-8")
    result = tierwise("models")
    assert result.code == 2
    assert "line 9: backends.ollama.hots:" in result.err
    assert "did you mean 'host'?" in result.err


def test_a_mistyped_provider_names_the_nearest(tierwise: Any, settings: Path) -> None:
    settings.write_text('[tiers]\nsmall = "olama:qwen3:4b"\n', encoding="utf-8")
    assert "provider 'olama' (did you mean 'ollama'?) of model 'olama:qwen3:4b'" in tierwise("models").out
