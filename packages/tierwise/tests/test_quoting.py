"""Other people's words in our prompts."""

import json

from hypothesis import given
from hypothesis import strategies as st
from tierwise import Task
from tierwise.messages import Message, ToolCall
from tierwise.quoting import enclosed, said, shortened


@given(st.text())
def test_nothing_inside_closes_the_markers(text: str) -> None:
    shown = enclosed("answer", text)
    assert shown.count("</answer>") == 1
    assert json.loads(shown.removeprefix("<answer>\n").removesuffix("\n</answer>")) == text


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_long_text_keeps_its_beginning_and_its_end(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert short == text if len(text) <= limit else f"[{len(text) - limit} characters left out]" in short
    assert text.endswith(short[-(limit // 3) :] if limit >= 3 else "")


def test_a_conversation_shows_the_tool_calls_in_it() -> None:
    task = Task(
        [
            Message("user", "Weather in Oslo?"),
            Message("assistant", tool_calls=(ToolCall("weather", {"city": "Oslo"}, id="1"),)),
            Message("tool", "4 degrees", name="weather", tool_call_id="1"),
        ]
    )
    assert said(task) == [
        {"role": "user", "content": "Weather in Oslo?"},
        {"role": "assistant", "content": '[{"name": "weather", "arguments": {"city": "Oslo"}}]'},
        {"role": "tool", "content": "4 degrees"},
    ]


def test_of_a_long_conversation_the_latest_messages_are_shown() -> None:
    task = Task([Message("user", "first " * 10), Message("assistant", "second"), Message("user", "third")])
    assert said(task, len("secondthird")) == [
        {"role": "note", "content": "earlier messages are left out"},
        {"role": "assistant", "content": "second"},
        {"role": "user", "content": "third"},
    ]
