"""CrewAI's messages and answers, and those of its providers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tierwise import Attempt, Message, ModelSpec, Task, ToolCall, Usage
from tierwise_crewai.convert import counters, from_core, outcome_of, to_core, written_calls

ATTEMPT = Attempt(Task("Why?"), ModelSpec("openai:large"))
NONE = dict.fromkeys(
    ["successful_requests", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "cache_creation_tokens"], 0
) | {"reasoning_tokens": 0}


def dumped(**fields: Any) -> Any:
    """An object of a provider's client."""
    return SimpleNamespace(model_dump=lambda: fields)


@pytest.mark.parametrize(
    "call",
    [
        {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}},
        {"call_id": "c1", "id": "fc_1", "name": "weather", "arguments": '{"city": "Oslo"}'},
        {"toolUseId": "c1", "name": "weather", "input": {"city": "Oslo"}},
        dumped(id="c1", type="function", function={"name": "weather", "arguments": '{"city": "Oslo"}'}),
        dumped(id="c1", type="tool_use", name="weather", input={"city": "Oslo"}),
        dumped(id="c1", text=None, function_call={"name": "weather", "args": {"city": "Oslo"}}),
    ],
    ids=["crewai", "responses", "bedrock", "openai", "anthropic", "gemini"],
)
def test_tool_calls_are_read_in_every_provider_s_form(call: Any) -> None:
    outcome = outcome_of(ATTEMPT, [call], NONE, "tool_calls")
    assert outcome.tool_calls == (ToolCall("weather", {"city": "Oslo"}, id="c1"),)
    assert outcome.raw == [call]


def test_arguments_that_are_no_json_are_kept_as_they_are() -> None:
    broken = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": '}}
    [call] = outcome_of(ATTEMPT, [broken], NONE, None).tool_calls
    assert call.malformed == '{"city": '
    assert written_calls([call]) == [broken]


def test_messages_go_there_and_back() -> None:
    said = [
        Message("system", "Be brief."),
        Message("user", "What is this?", images=("data:image/png;base64,AA",)),
        Message("assistant", tool_calls=(ToolCall("weather", {"city": "Oslo"}, id="c1"),)),
        Message("tool", "Rain", tool_call_id="c1", name="weather"),
    ]
    assert to_core(from_core(said)) == said


def test_parts_that_say_nothing_to_a_policy_are_left_out() -> None:
    parts: list[Any] = ["One", {"type": "text", "text": "Two"}, {"type": "file", "file": {}}]
    [message] = to_core([{"role": "user", "content": parts}])
    assert message == Message("user", "One\nTwo")


def test_a_tool_that_raised_is_marked() -> None:
    texts = ["Error executing tool: no such city", "Rain"]
    results = to_core([{"role": "tool", "content": text, "tool_call_id": "c", "name": "n"} for text in texts])
    assert [message.failed for message in results] == [True, False]


def test_usage_is_what_the_llm_counted_or_unknown() -> None:
    usage = Usage(10, 5, cached_tokens=3, cache_write_tokens=2, reasoning_tokens=1)
    assert outcome_of(ATTEMPT, "So.", counters(usage), "stop").usage == usage
    assert outcome_of(ATTEMPT, "So.", NONE, "stop").usage is None
