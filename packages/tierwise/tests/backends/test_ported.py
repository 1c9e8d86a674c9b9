"""Histories that an adapter holds in its framework's own form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from tierwise.backends import portable, ported
from tierwise.messages import Message, ToolCall


@dataclass(frozen=True, slots=True, eq=False)
class Native:
    """A framework's message, which may stand for several of ours."""

    messages: tuple[Message, ...]
    written: bool = False


def write(messages: Sequence[Message]) -> list[Native]:
    """All results of one turn in one message, as Pydantic AI has it; the others one by one."""
    made: list[Native] = []
    for message in messages:
        if message.role == "tool" and made and made[-1].messages[0].role == "tool":
            made[-1] = Native((*made[-1].messages, message), written=True)
        else:
            made.append(Native((message,), written=True))
    return made


def moved(history: Sequence[Native], provider: str) -> list[Native]:
    return ported([(native, native.messages) for native in history], provider=provider, write=write)


def said(history: Sequence[Native]) -> list[Message]:
    return [message for native in history for message in native.messages]


PROVIDERS = st.sampled_from(["anthropic", "mistral", "openai"])
texts = st.text("ab", max_size=3)
ids = st.sampled_from(["", "a", "call_1", "toolu_0123456789", "abc123XYZ"])
spoken = st.builds(
    Message, st.sampled_from(["system", "user", "assistant"]), texts, thinking=texts, origin=st.none() | PROVIDERS
)
asked = st.builds(
    Message,
    st.just("assistant"),
    texts,
    tool_calls=st.lists(st.builds(ToolCall, st.just("look"), id=ids), max_size=3).map(tuple),
    origin=st.none() | PROVIDERS,
)
results = st.builds(Message, st.just("tool"), texts, tool_call_id=st.none() | ids, name=st.sampled_from([None, "look"]))
natives = st.builds(Native, st.lists(results, max_size=3).map(tuple) | st.tuples(spoken | asked))
histories = st.lists(natives, max_size=7)


@given(histories, PROVIDERS)
def test_it_says_what_portable_says(history: list[Native], provider: str) -> None:
    assert said(moved(history, provider)) == list(portable(said(history), provider=provider))


@given(histories, PROVIDERS)
def test_a_history_that_is_fit_comes_back_object_for_object(history: list[Native], provider: str) -> None:
    once = moved(history, provider)
    again = moved(once, provider)
    assert [id(native) for native in again] == [id(native) for native in once]


@given(histories, PROVIDERS)
def test_nothing_is_written_that_could_have_been_kept(history: list[Native], provider: str) -> None:
    kept = {id(message) for message in portable(said(history), provider=provider)}
    for native in moved(history, provider):
        whole = [n for n in history if n.messages and n.messages[0] is native.messages[0]] if native.messages else []
        if native.written and whole and len(whole[0].messages) == 1:
            assert id(native.messages[0]) not in kept


@given(histories, PROVIDERS)
def test_a_message_that_stands_for_none_is_there_in_its_order(history: list[Native], provider: str) -> None:
    bare = [id(native) for native in history if not native.messages]
    assert [id(native) for native in moved(history, provider) if not native.messages] == bare


def test_a_request_with_several_results_is_kept_or_written_as_a_whole() -> None:
    calls = (ToolCall("look", {"n": 1}, id="a"), ToolCall("look", {"n": 2}, id="call_é"))
    found = tuple(Message("tool", str(c.arguments["n"]), tool_call_id=c.id, name="look") for c in calls)
    question, turn, request = (
        Native((Message("user", "Look."),)),
        Native((Message("assistant", tool_calls=calls),)),
        found,
    )
    history = [question, turn, Native(request)]
    there = moved(history, "openai")
    assert there[0] is question
    assert [native.written for native in there] == [False, True, True]
    assert [message.content for message in there[2].messages] == ["1", "2"]
    assert there[2].messages[1].tool_call_id == there[1].messages[0].tool_calls[1].id
    own = Native((Message("assistant", tool_calls=calls, origin="openai"),))
    assert moved([question, own, history[2]], "openai") == [question, own, history[2]]
