from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise import Message, Task, Tool, ToolCall
from tierwise.errors import ConfigError, UnknownNameError
from tierwise.task import task_fields

TEXT = st.text(st.characters(exclude_categories=()))


def test_a_text_is_one_user_message() -> None:
    task = Task("What is 2 + 2?", system="Be short.")
    assert [(m.role, m.content) for m in task.messages] == [("system", "Be short."), ("user", "What is 2 + 2?")]
    assert task.latest_request == "What is 2 + 2?"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"trust": "secret"}, "trust"),
        ({"stakes": "medium"}, "stakes"),
        ({"deadline": 0}, "deadline"),
        ({"deadline": "5"}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"tags": "urgent"}, "tags"),
        ({"tags": ["urgent", 1]}, "tags"),
        ({"tags": [["urgent"]]}, "tags"),
        ({"tags": None}, "tags"),
        ({"tools": [{"type": "function"}]}, "tools"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        Task("hi", **fields)
    assert caught.value.setting == named


@pytest.mark.parametrize(
    "messages", [[], [{"role": "robot", "content": "x"}], [{"role": "user", "content": [{"type": "video"}]}]]
)
def test_wrong_messages_are_refused(messages: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigError):
        Task(messages)


def test_fields_beside_a_task_replace_its_own() -> None:
    task = Task("hi", job="plan", trust="local", tags=["a"])
    other = Task.of(task, job="code")
    assert (other.job, other.trust, other.tags, other.messages) == ("code", "local", {"a"}, task.messages)
    assert Task.of(task) is task


def test_a_derived_task_inherits_what_bounds_it() -> None:
    task = Task("hi", trust="local", session="s", deadline=5, tools=[Tool("f")], min_tier="small")
    derived = task.derive("judge this", job="judge")
    assert (derived.trust, derived.session, derived.deadline) == ("local", "s", 5)
    assert (derived.tools, derived.min_tier, derived.job) == ((), None, "judge")


@given(TEXT)
def test_any_text_is_kept_as_it_is(text: str) -> None:
    task = Task(text)
    assert task.latest_request == text
    assert task.characters == len(text)
    assert task.estimated_tokens >= 1


def test_the_estimated_length_is_that_of_all_that_is_sent() -> None:
    schema = {"type": "object", "properties": {"query": {"type": "string", "description": "x" * 4_000}}}
    bare = Task("hi").estimated_tokens
    assert Task("hi", tools=[Tool("search", parameters=schema)]).estimated_tokens > bare + 1_000
    assert Task([Message("user", "hi", images=("AAAA",))]).estimated_tokens > bare + 1_000
    called = Message("assistant", tool_calls=(ToolCall("search", {"query": "x" * 4_000}),))
    assert Task([Message("user", "hi"), called]).estimated_tokens >= bare + 1_000


def test_latest_request_is_the_last_user_message() -> None:
    task = Task([Message("user", "first"), Message("assistant", "a"), Message("user", "second"), Message("tool", "t")])
    assert task.latest_request == "second"
    assert Task([Message("assistant", "a")]).latest_request == ""


def test_a_task_that_asks_something_else_has_no_native_request() -> None:
    task = Task("Draft a reply", native=object())
    assert Task.of(task, job="answer").native is task.native
    assert Task.of(task, messages="Plan a reply").native is None


def test_fields_of_tasks_that_are_yet_to_be_made_are_checked() -> None:
    assert task_fields(None) == {}
    assert task_fields({"job": "plan", "trust": "local"}) == {"job": "plan", "trust": "local"}
    with pytest.raises(UnknownNameError, match="task: unknown field 'joob'; did you mean 'job'"):
        task_fields({"joob": "plan"})
    with pytest.raises(UnknownNameError, match="unknown field 'messages'"):
        task_fields({"messages": "Hello."})
