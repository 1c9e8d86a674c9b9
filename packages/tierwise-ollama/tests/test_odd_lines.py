"""Lines that no Ollama sends, from a server that only says it is one: a typed failure, and no defect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tierwise.attempt import Attempt
from tierwise.errors import BadResponseError
from tierwise.fleet.model import ModelSpec
from tierwise.task import Task
from tierwise_ollama import OllamaBackend

if TYPE_CHECKING:
    from .conftest import Replay
else:
    Replay = Any

ATTEMPT = Attempt(Task("Say hello."), ModelSpec("ollama:m"))
DONE: dict[str, Any] = {"model": "m", "done": True, "done_reason": "stop"}

ODD: list[dict[str, Any]] = [
    {"message": {"content": 7}},
    {"message": {"content": ["Hello"]}},
    {"message": {"content": "Hello", "thinking": 7}},
    {"message": {"content": "Hello", "tool_calls": 7}},
    {"message": {"content": "Hello", "tool_calls": ["weather"]}},
    {"message": {"content": "Hello", "tool_calls": [{"function": "weather"}]}},
    {"message": {"content": "Hello", "tool_calls": [{"function": {"name": "weather", "arguments": 7}}]}},
    {"message": {"content": "Hello", "tool_calls": {"function": {}}}},
    {"message": {"content": "Hello"}, "logprobs": 7},
    {"message": {"content": "Hello"}, "logprobs": [{"token": "Hello"}]},
    {"message": {"content": "Hello"}, "logprobs": [{"logprob": "high"}]},
    {"message": {"content": "Hello"}, "prompt_eval_count": "many"},
    {"message": {"content": "Hello"}, "eval_count": [1]},
    {"message": {"content": "Hello"}, "eval_count": -5},
    {"message": {"content": "Hello"}, "eval_count": 1.5},
    {"message": {"content": "Hello"}, "model": 7},
    {"message": {"content": "Hello"}, "done_reason": 7},
    {"message": "Hello"},
    {},
]


@pytest.mark.parametrize("line", ODD, ids=str)
def test_a_line_that_makes_no_sense_is_a_bad_response(replay: Replay, line: dict[str, Any]) -> None:
    replay.on("/api/chat", DONE | line)
    with pytest.raises(BadResponseError):
        OllamaBackend(replay.url).call(ATTEMPT)


@pytest.mark.parametrize(
    "answer",
    [
        {"capabilities": 7},
        {"capabilities": ["tools", 7], "model_info": []},
        {"model_info": {"general.architecture": 7}},
        {"model_info": {"general.architecture": "llama", "llama.context_length": "long"}},
        {"parameters": 7, "details": 7},
    ],
    ids=str,
)
def test_facts_that_make_no_sense_are_not_known_or_a_bad_response(replay: Replay, answer: dict[str, Any]) -> None:
    replay.on("/api/show", answer)
    replay.on("/api/chat", DONE | {"message": {"content": "Hello"}})
    try:
        outcome = OllamaBackend(replay.url).call(ATTEMPT)
    except BadResponseError:
        return
    assert outcome.text == "Hello"
