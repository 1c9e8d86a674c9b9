"""Whether what is sent to a model stays on this machine."""

import pytest
from tierwise.backends import is_cloud, is_loopback, runs_here


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
