from __future__ import annotations

import pytest
from tierwise import Task, ToolCall
from tierwise.errors import ConfigError


def test_messages_may_be_dictionaries_of_the_chat_api() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    task = Task(
        [
            {"role": "developer", "content": "Rules."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look:"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        ]
    )
    assert task.messages[0].role == "system"
    assert task.has_images
    assert task.messages[2].tool_calls == (ToolCall("f", {"a": 1}, id="c1"),)
    assert task.messages[3].tool_call_id == "c1"
    assert task.latest_request == "Look:"


def test_malformed_arguments_are_kept_as_they_came() -> None:
    assert ToolCall.parse("f", "{oops").malformed == "{oops"
    assert ToolCall.parse("f", "[1]").malformed == "[1]"
    assert ToolCall.parse("f", None).arguments == {}


def test_a_tool_that_is_none_is_refused() -> None:
    def search(query: str) -> str:
        return query

    with pytest.raises(ConfigError, match=r"tools: .*search.* must be a Tool"):
        Task("hi", tools=[search])  # pyright: ignore[reportArgumentType]
