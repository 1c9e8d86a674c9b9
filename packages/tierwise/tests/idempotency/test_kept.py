"""What is kept of a reply: made anew, it is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from tierwise import Cascade, Price, Reply, Router, Tool, ToolCall
from tierwise.attempt import Attempt, Outcome
from tierwise.errors import StateError
from tierwise.state import MemoryState
from tierwise.testing import ScriptedBackend

from ..driving import router


class City(BaseModel):
    name: str


def asked_twice(made: Router, **fields: Any) -> tuple[Reply, Reply]:
    task: dict[str, Any] = {"idempotency_key": "k", **fields}
    return made.run("What is the capital of France?", **task), made.run("What is the capital of France?", **task)


def said(text: str, *calls: ToolCall) -> Callable[[Attempt], Outcome]:
    return lambda attempt: Outcome(attempt, text=text, tool_calls=calls)


def names_paris(outcome: Outcome) -> bool:
    return "Paris" in outcome.text


def test_all_that_a_reply_says_is_kept() -> None:
    backend = ScriptedBackend({"x:small": "Rome.", "x:medium": said("Paris \U0001f600.")}, price=Price(1, 1))
    made = router(backend, Cascade(names_paris))
    first, second = asked_twice(made, job="geography")
    for name in ("text", "status", "evidence", "decision", "receipt", "run_id", "statements", "model", "tier", "cost"):
        assert getattr(second, name) == getattr(first, name), name
    assert second.as_metadata() == first.as_metadata()
    for name in ("finish_reason", "usage", "cost", "latency", "verdict"):
        assert getattr(second.outcome, name) == getattr(first.outcome, name), name
    assert [row.purpose for row in second.attempts] == ["draft", "answer"]


def test_typed_output_is_read_again_from_its_text() -> None:
    backend = ScriptedBackend({"*": '{"name": "Paris"}'})
    _, second = asked_twice(router(backend), output_schema=City)
    assert second.output == City(name="Paris")
    assert len(backend.attempts) == 1


def test_tool_calls_are_kept() -> None:
    calls = (ToolCall("find", {"city": {"name": "Pâris"}}, id="c1"), ToolCall("find", id="c2", malformed="{"))
    tools = [Tool("find")]
    first, second = asked_twice(router(ScriptedBackend({"*": said("", *calls)})), tools=tools)
    assert second.tool_calls == first.tool_calls == calls


def test_half_a_character_is_kept() -> None:
    _, second = asked_twice(router(ScriptedBackend({"*": "a \ud800 b"})))
    assert (second.text, second.replayed) == ("a \ud800 b", True)


def test_a_model_that_has_left_the_fleet_is_still_named() -> None:
    state = MemoryState()
    router(ScriptedBackend({"*": "Paris."}), state=state).run("hi", idempotency_key="k")
    other = Router.simple(small="y:a", large="y:b", backends={"y": ScriptedBackend({"*": "No."})}, state=state)
    assert other.run("hi", idempotency_key="k").model == "x:small"


@pytest.mark.parametrize("body", ["", "{}", "[]", json.dumps({"version": 99})])
def test_what_cannot_be_read_is_an_error_of_the_state(body: str) -> None:
    state = MemoryState()
    made = router(ScriptedBackend({"*": "Paris."}), state=state)
    reply = made.run("hi", idempotency_key="k")
    state.end_once("k", reply.run_id, body, keep=60)
    with pytest.raises(StateError, match="cannot be read"):
        made.run("hi", idempotency_key="k")
