from __future__ import annotations

import pytest
from tierwise import Attempt, ModelSpec, Task
from tierwise.attempt import Chunk, Prefix


@pytest.mark.parametrize(
    ("chunk", "visible"),
    [
        (Chunk(), False),
        (Chunk(text=" \n"), False),
        (Chunk(thinking="hm", finish_reason="stop"), False),
        (Chunk(text="a"), True),
        (Chunk(raw=object()), False),
        (Chunk(raw=object(), visible=True), True),
    ],
)
def test_what_a_consumer_would_see(chunk: Chunk, visible: bool) -> None:
    assert chunk.is_visible is visible


@pytest.mark.parametrize("text", ["", " \n", "{", '[{"name"', "<", "<tool", "<tool_call>{", "`", "```", "```json\n{"])
def test_a_prefix_that_may_still_be_a_tool_call(text: str) -> None:
    assert Prefix(text).may_be_call


@pytest.mark.parametrize("text", ["Paris", "<b>", "<to be", "```python\nprint", "`x` is", "- [a]"])
def test_a_prefix_that_is_prose(text: str) -> None:
    assert not Prefix(text).may_be_call


def test_the_settings_of_a_call_come_from_the_attempt_then_task_and_model() -> None:
    model = ModelSpec("x:m", temperature=0.5, seed=3, max_output_tokens=100)
    attempt = Attempt(Task("q", max_output_tokens=50), model, temperature=0.0)
    assert attempt.setting("temperature") == 0.0
    assert attempt.setting("seed") == 3
    assert attempt.setting("max_output_tokens") == 50
    assert Attempt(Task("q"), ModelSpec("x:m")).setting("max_output_tokens") is None
