from __future__ import annotations

import pytest
from asking import Ask
from tierwise import Message, ModelSpec, ToolCall
from tierwise.testing.provider import LoopbackProvider, Reply
from tierwise_litellm.messages import as_messages

OPENAI = ModelSpec("openai:small")
CLAUDE = ModelSpec("anthropic:claude-opus-4-7")

CONVERSATION = [
    Message("system", "Be brief."),
    Message("user", "Weather?", cache=True),
    Message(
        "assistant",
        thinking="I should ask.",
        signature="signed",
        tool_calls=(ToolCall("weather", {"city": "Oslo"}, id="call_1"),),
        origin="anthropic",
    ),
    Message("tool", "rain", tool_call_id="call_1", name="weather"),
]


async def test_a_conversation_with_tools_reaches_the_provider(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="Rain."))
    await ask("openai:small", CONVERSATION)
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    assert provider.calls[0].messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1", "name": "weather"},
    ]


def test_what_only_its_writer_can_read_goes_back_to_it_alone() -> None:
    own = as_messages(CONVERSATION, CLAUDE)
    assert own[1]["content"][-1]["cache_control"] == {"type": "ephemeral"}
    assert own[2]["thinking_blocks"] == [{"type": "thinking", "thinking": "I should ask.", "signature": "signed"}]
    foreign = as_messages(CONVERSATION, OPENAI)
    assert "signed" not in str(foreign)
    assert "cache_control" not in str(foreign)


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("https://example.com/cat.png", "https://example.com/cat.png"),
        ("data:image/png;base64,AAAA", "data:image/png;base64,AAAA"),
        ("/9j/4AAQ", "data:image/jpeg;base64,/9j/4AAQ"),
        ("iVBORw0KGgo", "data:image/png;base64,iVBORw0KGgo"),
    ],
)
def test_images(image: str, url: str) -> None:
    (message,) = as_messages([Message("user", "What is it?", images=(image,))], OPENAI)
    assert message["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]


async def test_odd_texts_arrive_whole(provider: LoopbackProvider, ask: Ask) -> None:
    provider.on("small", Reply(text="ok"))
    odd = "nul \x00, right to left \u202e, zero width \u200b"
    await ask("openai:small", odd)
    assert provider.calls[0].messages[-1]["content"] == odd
