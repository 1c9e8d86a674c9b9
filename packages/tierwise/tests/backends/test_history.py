from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.backends.history import portable
from tierwise.messages import Message, ToolCall

PROVIDERS = ("anthropic", "mistral", "ollama", "openai")
FORMS = {"mistral": r"[a-zA-Z0-9]{9}"}


def asked(*ids: str, tool: str = "look", **fields: object) -> Message:
    return Message("assistant", tool_calls=tuple(ToolCall(tool, {"n": i}, id=i) for i in ids), **fields)  # type: ignore[arg-type]


def found(call_id: str | None, text: str = "it", *, name: str | None = "look") -> Message:
    return Message("tool", text, tool_call_id=call_id, name=name)


def pairs(messages: Sequence[Message]) -> list[tuple[object, str]]:
    """Each call's argument with the text of its result, as a strict provider reads them: the results follow at once."""
    read: list[tuple[object, str]] = []
    open_calls: dict[str, ToolCall] = {}
    for message in messages:
        if message.role == "tool":
            assert message.tool_call_id in open_calls, "a result without a call before it"
            read.append((open_calls.pop(message.tool_call_id).arguments["n"], message.content))
            continue
        assert not open_calls, "a call without a result"
        open_calls = {call.id: call for call in message.tool_calls}
    assert not open_calls, "a call without a result"
    return read


texts = st.text("ab <", max_size=4)
ids = st.one_of(st.just(""), st.text("aB9_-é", max_size=12), st.from_regex(r"toolu_[a-z0-9]{40}", fullmatch=True))
calls = st.lists(
    st.builds(ToolCall, st.sampled_from(["look", "write"]), st.fixed_dictionaries({"n": texts}), id=ids), max_size=3
)
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant"]),
    texts,
    thinking=texts,
    signature=st.none() | texts,
    cache=st.booleans(),
    origin=st.sampled_from([None, *PROVIDERS]),
) | st.builds(
    Message,
    st.just("assistant"),
    texts,
    tool_calls=calls.map(tuple),
    origin=st.sampled_from([None, *PROVIDERS]),
    thinking=texts,
)
results = st.builds(
    Message, st.just("tool"), texts, tool_call_id=st.none() | ids, name=st.sampled_from([None, "look", "write"])
)
histories = st.lists(messages | results, max_size=8).map(tuple)


@st.composite
def whole_histories(draw: st.DrawFn) -> tuple[Message, ...]:
    """Histories in which each call, with an id of its own, is answered at once."""
    said: list[Message] = []
    for turn, message in enumerate(draw(st.lists(messages, max_size=5))):
        own = tuple(ToolCall(c.name, c.arguments, id=f"{c.id}.{turn}.{i}") for i, c in enumerate(message.tool_calls))
        said.append(Message(message.role, message.content, tool_calls=own, origin=message.origin))
        said += [Message("tool", draw(texts), tool_call_id=c.id, name=c.name) for c in draw(st.permutations(own))]
    return tuple(said)


@given(histories, st.sampled_from(PROVIDERS), st.booleans(), st.booleans())
def test_it_changes_nothing_the_second_time(
    history: tuple[Message, ...], provider: str, cache: bool, alternating: bool
) -> None:
    once = portable(history, provider=provider, cache=cache, alternating=alternating)
    assert portable(once, provider=provider, cache=cache, alternating=alternating) == once


@given(histories, st.sampled_from(PROVIDERS))
def test_whatever_comes_in_every_call_has_one_result_that_follows_at_once(
    history: tuple[Message, ...], provider: str
) -> None:
    assert len(pairs(portable(history, provider=provider))) == sum(len(m.tool_calls) for m in history)


@given(whole_histories(), st.sampled_from(PROVIDERS))
def test_results_stay_with_their_calls(history: tuple[Message, ...], provider: str) -> None:
    assert pairs(portable(history, provider=provider)) == pairs(history)


@given(histories, st.sampled_from(PROVIDERS))
def test_ids_are_unique_and_of_the_form_that_the_target_takes(history: tuple[Message, ...], provider: str) -> None:
    said = portable(history, provider=provider)
    used = [call.id for m in said for call in m.tool_calls]
    assert len(used) == len(set(used))
    foreign = [call.id for m in said if m.origin != provider for call in m.tool_calls]
    form = FORMS.get(provider, r"[a-zA-Z0-9_-]{1,40}")
    assert [i for i in foreign if not re.fullmatch(form, i)] == []


@given(histories, st.sampled_from(PROVIDERS))
def test_no_foreign_thought_signature_or_cache_marker_is_left(history: tuple[Message, ...], provider: str) -> None:
    for message in portable(history, provider=provider):
        assert message.origin == provider or (message.thinking, message.signature) == ("", None)
        assert not message.cache


@given(histories)
def test_no_result_is_lost(history: tuple[Message, ...]) -> None:
    text = "\n".join(m.content for m in portable(history, provider="openai"))
    assert [m.content for m in history if m.role == "tool" and m.content not in text] == []


@given(histories, st.sampled_from(PROVIDERS), st.integers(0, 8))
def test_a_history_that_grows_keeps_the_ids_that_it_had(
    history: tuple[Message, ...], provider: str, length: int
) -> None:
    def ids_of(messages: Sequence[Message]) -> list[str]:
        return [call.id for m in portable(messages, provider=provider) for call in m.tool_calls]

    before = ids_of(history[:length])
    assert ids_of(history)[: len(before)] == before


def test_the_providers_own_history_is_kept_as_it_is() -> None:
    history = (
        Message("system", "Be brief.", cache=True),
        Message("user", "Look."),
        asked("toolu_1", "toolu_2", thinking="Two looks.", signature="sig", origin="anthropic"),
        found("toolu_2"),
        found("toolu_1"),
        Message("assistant", "Done.", thinking="Fine.", signature="sig", origin="anthropic"),
    )
    assert portable(history, provider="anthropic", cache=True) == history


def test_an_id_that_is_used_in_every_turn_is_told_apart() -> None:
    history = (asked("call_0"), found("call_0", "one"), asked("call_0"), found("call_0", "two"))
    said = portable(history, provider="openai")
    assert [m.content for m in said if m.role == "tool"] == ["one", "two"]
    first, second = (m.tool_calls[0].id for m in said if m.tool_calls)
    assert first == "call_0" != second


def test_results_without_ids_follow_the_tools_names() -> None:
    calls = (ToolCall("read", {"n": 1}), ToolCall("write", {"n": 2}))
    history = (Message("assistant", tool_calls=calls), found(None, "w", name="write"), found(None, "r", name="read"))
    assert dict(pairs(portable(history, provider="mistral"))) == {2: "w", 1: "r"}


def test_a_call_that_nothing_answered_gets_a_failed_result() -> None:
    said = portable((asked("a", "b"), found("a"), Message("user", "Never mind.")), provider="openai")
    assert [m.role for m in said] == ["assistant", "tool", "tool", "user"]
    assert (said[2].tool_call_id, said[2].failed) == ("b", True)
    assert "not carried out" in said[2].content


def test_a_result_whose_call_was_cut_away_is_quoted() -> None:
    said = portable((found("gone", "42 km"), Message("user", "So?")), provider="openai")
    assert [m.role for m in said] == ["user", "user"]
    assert "'look'" in said[0].content
    assert "42 km" in said[0].content


def test_a_result_that_came_late_is_put_behind_its_call() -> None:
    said = portable((asked("a"), Message("user", "Hurry."), found("a")), provider="openai")
    assert [m.role for m in said] == ["assistant", "tool", "user"]


def test_a_turn_of_nothing_but_foreign_thoughts_is_left_out() -> None:
    history = (
        Message("user", "Hi."),
        Message("assistant", thinking="Hm.", origin="anthropic"),
        Message("user", "Well?"),
    )
    assert [m.content for m in portable(history, provider="openai")] == ["Hi.", "Well?"]
    assert len(portable(history, provider="anthropic")) == 3


def test_messages_of_one_role_are_joined_only_where_that_is_asked_for() -> None:
    history = (Message("user", "One."), Message("user", "Two.", images=("aGk=",)), asked("a"), found("a"))
    assert len(portable(history, provider="ollama")) == 4
    said = portable(history, provider="ollama", alternating=True)
    assert (said[0].content, said[0].images) == ("One.\n\nTwo.", ("aGk=",))
    assert [m.role for m in said] == ["user", "assistant", "tool"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nothing_in_the_history_is_changed(provider: str) -> None:
    history = (asked("é", thinking="t", signature="s", cache=True), found(None, name=None))
    before = repr(history)
    portable(history, provider=provider)
    assert repr(history) == before
