"""Histories that move between providers, as the loopback provider receives them."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Request
from tierwise_langgraph import RoutedChatModel
from tierwise_langgraph.history import native_history, to_core

Make = Callable[..., RoutedChatModel]

EPHEMERAL = {"type": "ephemeral"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ported(messages: list[BaseMessage], provider: str, *, cache: bool = False) -> list[BaseMessage]:
    return native_history(to_core(messages), provider=provider, cache=cache)


def of_claude(call: str = "toolu_01", **fields: Any) -> AIMessage:
    content: list[Any] = [
        {"type": "thinking", "thinking": "They ask for Oslo.", "signature": "sig"},
        {"type": "text", "text": "Let me look.", "cache_control": EPHEMERAL},
        {"type": "tool_use", "id": call, "name": "weather", "input": {"city": "Oslo"}},
    ]
    calls = [{"name": "weather", "args": {"city": "Oslo"}, "id": call}]
    return AIMessage(content, tool_calls=calls, response_metadata={"model_provider": "anthropic"}, **fields)


def test_what_is_fit_stays_the_same_object() -> None:
    history = [
        SystemMessage("Be brief."),
        HumanMessage("Weather?"),
        AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "call_1"}]),
        ToolMessage("Rain", tool_call_id="call_1", name="weather"),
    ]
    assert all(new is old for new, old in zip(ported(list(history), "openai"), history, strict=True))


def test_a_model_s_own_message_is_kept_with_its_thoughts() -> None:
    message = of_claude()
    assert (
        ported(
            [HumanMessage("?"), message, ToolMessage("Rain", tool_call_id="toolu_01", name="weather")],
            "anthropic",
            cache=True,
        )[1]
        is message
    )


def test_another_provider_reads_text_and_calls_alone() -> None:
    [_, said, result] = ported(
        [HumanMessage("?"), of_claude(name="guide"), ToolMessage("Rain", tool_call_id="toolu_01", name="weather")],
        "ollama",
    )
    assert isinstance(said, AIMessage)
    assert (said.content, said.name, said.additional_kwargs, said.response_metadata) == (
        "Let me look.",
        "guide",
        {},
        {},
    )
    assert [(c["name"], c["args"], c["id"]) for c in said.tool_calls] == [("weather", {"city": "Oslo"}, "toolu_01")]
    assert isinstance(result, ToolMessage)
    assert result.tool_call_id == "toolu_01"


def test_ids_that_a_provider_refuses_are_replaced_on_both_sides() -> None:
    [_, said, result] = ported(
        [
            HumanMessage("?"),
            of_claude(),
            ToolMessage([{"type": "text", "text": "Rain"}], tool_call_id="toolu_01", name="weather"),
        ],
        "mistral",
    )
    assert isinstance(said, AIMessage)
    assert isinstance(result, ToolMessage)
    assert said.tool_calls[0]["id"] == result.tool_call_id
    assert len(result.tool_call_id) == 9
    assert result.content == [{"type": "text", "text": "Rain"}]


@pytest.mark.parametrize(
    "message",
    [
        AIMessage([{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "Rain."}]),
        AIMessage(
            [{"type": "reasoning", "id": "rs_1", "summary": []}, {"type": "text", "text": "Rain.", "id": "msg_1"}]
        ),
        AIMessage("Rain.", additional_kwargs={"reasoning_content": "It is autumn."}),
        AIMessage([{"type": "text", "text": "Rain.", "citations": [{"url": "https://example.com"}]}]),
    ],
)
def test_what_its_writer_alone_can_read_is_left_out(message: AIMessage) -> None:
    [_, said] = ported([HumanMessage("?"), message], "ollama")
    assert (said.content, said.additional_kwargs) == ("Rain.", {})


def test_cache_markers_stay_where_they_are_read() -> None:
    pdf = {
        "type": "file",
        "base64": "AAAA",
        "mime_type": "application/pdf",
        "extras": {"cache_control": EPHEMERAL, "a": 1},
    }
    asked = [
        SystemMessage([{"type": "text", "text": "Be brief.", "cache_control": EPHEMERAL}]),
        HumanMessage([pdf, {"cachePoint": {"type": "default"}}]),
    ]
    assert ported(list(asked), "anthropic", cache=True) == asked
    system, human = ported(list(asked), "openai")
    assert system.content == [{"type": "text", "text": "Be brief."}]
    assert human.content == [{**pdf, "extras": {"a": 1}}]


def test_a_call_without_a_result_gets_one() -> None:
    [_, _, result, _] = ported([HumanMessage("?"), of_claude(), HumanMessage("Well?")], "openai")
    assert isinstance(result, ToolMessage)
    assert (result.tool_call_id, result.status) == ("toolu_01", "error")


def alternating(task: Any) -> str:
    return "large" if sum(m.role == "tool" for m in task.messages) % 2 else "small"


def test_ten_steps_that_alternate_between_two_dialects(
    provider: LoopbackProvider, models: dict[str, Any], routed: Make
) -> None:
    """Ollama and OpenAI take turns; the first message comes from a third provider, with thoughts and cache markers."""

    def step(request: Request) -> Reply:
        done = sum(m["role"] == "tool" for m in request.messages)
        if done == 10:
            return Reply(text="Rain everywhere.")
        return Reply(thinking=f"Thought {done}", tool_calls=[Call("weather", {"city": f"City {done}"})])

    models["small"] = models["small"].model_copy(update={"reasoning": True})
    provider.on("small", step)
    provider.on("large", step)
    model = routed(policy=alternating).bind_tools([WEATHER])
    history: list[BaseMessage] = [
        SystemMessage([{"type": "text", "text": "Be brief.", "cache_control": EPHEMERAL}]),
        HumanMessage("The weather in ten cities?"),
        of_claude(),
        ToolMessage("Rain", tool_call_id="toolu_01", name="weather"),
    ]
    answer: Any = AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "x"}])
    while answer.tool_calls:
        answer = model.invoke(history)
        history.append(answer)
        history += [ToolMessage("Rain", tool_call_id=c["id"], name=c["name"]) for c in answer.tool_calls]
    assert answer.text == "Rain everywhere."
    assert [c.model for c in provider.calls] == ["large", "small"] * 5
    assert {c.dialect for c in provider.calls} == {"openai", "ollama"}
    assert "Thought 2" in str(history)
    last = provider.calls[-1]
    assert [m["role"] for m in last.messages] == ["system", "user", *["assistant", "tool"] * 10]
    for call in provider.calls:
        sent = str(call.body)
        assert "cache_control" not in sent
        assert "They ask for Oslo" not in sent
        if call.dialect == "openai":
            assert "Thought" not in sent
            asked = [c["id"] for m in call.messages for c in m.get("tool_calls") or ()]
            assert asked == [m["tool_call_id"] for m in call.messages if m["role"] == "tool"]
            assert len(set(asked)) == len(asked)
