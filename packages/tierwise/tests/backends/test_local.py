"""Whether what is sent to a model stays on this machine."""

import pytest
from tierwise.backends import is_cloud, is_loopback, runs_here


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:11434", "http://localhost:11434/v1", "127.0.0.1:11434", "http://[::1]:80"]
)
def test_an_ollama_on_this_machine_runs_its_models_here(url: str) -> None:
    assert runs_here(url, "qwen3:4b")
    assert not runs_here(url, "qwen3-coder:480b-cloud")


@pytest.mark.parametrize(
    "url", ["https://ollama.com", "http://10.0.0.8:11434", "http://localhost.example.org", "", "http://["]
)
def test_an_ollama_elsewhere_does_not(url: str) -> None:
    assert not runs_here(url, "qwen3:4b")
    assert not is_loopback(url)


@pytest.mark.parametrize("model", ["gpt-oss:120b-cloud", "kimi-k2:cloud"])
def test_a_cloud_model_runs_elsewhere_wherever_it_is_asked_for(model: str) -> None:
    assert is_cloud(model)
    assert not runs_here("http://localhost:11434", model)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_what_goes_through_a_proxy_does_not_stay_here(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://proxy.example.com:3128")
    assert is_loopback("http://localhost:11434")
    assert not runs_here("http://localhost:11434", "qwen3:4b")
    assert not runs_here("localhost:11434", "qwen3:4b")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert runs_here("http://localhost:11434", "qwen3:4b")


def test_a_proxy_for_another_scheme_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    assert runs_here("http://localhost:11434", "qwen3:4b")
