from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.attempt import Gate, Prefix
from tierwise.errors import ConfigError
from tierwise.messages import Tool, ToolCall
from tierwise.strategies import act_only, prefix_logprob
from tierwise.task import Task

TASK = Task(
    "q",
    tools=[
        Tool("look", parameters={"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}),
        Tool("pay", stakes="high"),
    ],
)


@pytest.mark.parametrize(
    ("prefix", "answer"),
    [
        (Prefix(task=TASK), "undecided"),
        (Prefix(" \n", task=TASK), "undecided"),
        (Prefix("Well", task=TASK), "abort"),
        (Prefix('{"name": "look"', task=TASK), "undecided"),
        (Prefix("```json", task=TASK, done=True), "undecided"),
        (Prefix("", done=True, task=TASK), "undecided"),
        (Prefix('{"x": 1}', task=TASK, done=True, final=True), "abort"),
        (Prefix('{"x": 1}', task=Task.of(TASK, output_schema=dict), done=True, final=True), "undecided"),
        (Prefix("", (ToolCall("look", {"x": 1}),), task=TASK), "commit"),
        (Prefix("Let me see.", (ToolCall("look", {"x": 1}),), task=TASK), "commit"),
        (Prefix("", (ToolCall("look", {"x": "no"}),), task=TASK), "abort"),
        (Prefix("", (ToolCall("unknown"),), task=TASK), "abort"),
        (Prefix("", (ToolCall("pay"),), task=TASK), "undecided"),
        (Prefix("", (ToolCall("any"),)), "commit"),
        (Prefix("", (ToolCall("any", malformed="{"),)), "abort"),
    ],
)
def test_act_only_commits_to_a_valid_call_and_closes_prose(prefix: Prefix, answer: str) -> None:
    assert act_only()(prefix) == answer


def test_some_prose_can_be_allowed_before_the_call() -> None:
    gate = act_only(prose=10)
    assert gate(Prefix("Let me see", task=TASK)) == "undecided"
    assert gate(Prefix("Let me see", task=TASK, done=True)) == "abort"
    assert gate(Prefix("Let me see, I think", task=TASK)) == "abort"


@pytest.mark.parametrize(
    ("prefix", "answer"),
    [
        (Prefix("ab"), "undecided"),
        (Prefix("ab", done=True), "undecided"),
        (Prefix("ab", logprobs=(-0.1,)), "undecided"),
        (Prefix("ab", logprobs=(-0.1,), done=True), "commit"),
        (Prefix("ab", logprobs=(-0.1, -0.2)), "commit"),
        (Prefix("ab", logprobs=(-0.1, -2.0)), "abort"),
        (Prefix("ab", logprobs=(-0.1, -0.2, -9.0)), "commit"),
        (Prefix("ab", logprobs=(-0.1, float("nan"))), "undecided"),
        (Prefix("ab", logprobs=(-0.1, float("-inf"))), "undecided"),
    ],
)
def test_prefix_logprob_reads_the_first_tokens(prefix: Prefix, answer: str) -> None:
    assert prefix_logprob(-0.5, 2)(prefix) == answer


@pytest.mark.parametrize(
    "make", [lambda: act_only(prose=-1), lambda: prefix_logprob(0.5), lambda: prefix_logprob(-1.0, 0)]
)
def test_a_wrong_setting_is_named(make: Any) -> None:
    with pytest.raises(ConfigError, match=r"(prose|threshold|tokens)="):
        make()


Calls = st.lists(
    st.sampled_from([ToolCall("look", {"x": 1}), ToolCall("look", {"x": ""}), ToolCall("pay"), ToolCall("z")]),
    max_size=3,
)


@pytest.mark.parametrize("gate", [act_only(), act_only(prose=5), prefix_logprob(-0.5, 3)])
@given(st.text(max_size=20), Calls, st.lists(st.floats(-5, 0), max_size=5), st.booleans())
def test_gates_are_pure(gate: Gate, text: str, calls: list[ToolCall], logprobs: list[float], done: bool) -> None:
    prefix = Prefix(text, tuple(calls), tuple(logprobs), done, TASK)
    assert gate(prefix) == gate(prefix) in ("undecided", "commit", "abort")
