"""What policies and verifiers see of Pydantic AI's messages."""

from __future__ import annotations

import warnings

import pytest
from pydantic_ai.messages import (
    BinaryContent,
    CachePoint,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    RetryFeedbackPart,
    RetryInfo,
    SystemPromptPart,
    TextContent,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from tierwise import Message, ToolCall
from tierwise_pydantic_ai.convert import from_core, to_core, tools_to_core


def test_texts_images_calls_and_thoughts_are_read() -> None:
    image = ImageUrl("https://example.com/cat.png")
    drawn = BinaryContent(b"png", media_type="image/png")
    history: list[ModelMessage] = [
        ModelRequest(
            [SystemPromptPart("Be brief."), UserPromptPart(["Look:", TextContent("here"), image, drawn, CachePoint()])],
            instructions="Be kind.",
        ),
        ModelResponse(
            [ThinkingPart("hm"), TextPart("I look."), ToolCallPart("look", '{"n": 1}', tool_call_id="c")],
            provider_name="openai",
        ),
        ModelRequest([ToolReturnPart("look", {"found": 1}, tool_call_id="c")]),
    ]
    assert to_core(history) == [
        Message("system", "Be kind."),
        Message("system", "Be brief."),
        Message("user", "Look:\nhere", images=("https://example.com/cat.png", drawn.data_uri)),
        Message(
            "assistant", "I look.", tool_calls=(ToolCall("look", {"n": 1}, id="c"),), thinking="hm", origin="openai"
        ),
        Message("tool", '{"found":1}', tool_call_id="c", name="look"),
    ]


def retry_prompt(**fields: str) -> ModelRequestPart:
    """As a history from before 2.68 holds it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = {"part_kind": "retry-prompt", "content": "once more", "tool_call_id": "c"} | fields
        [message] = ModelMessagesTypeAdapter.validate_python([{"kind": "request", "parts": [part]}])
    assert isinstance(message, ModelRequest)
    return message.parts[0]


@pytest.mark.parametrize(
    ("part", "role", "failed"),
    [
        (ToolReturnPart("look", "x", tool_call_id="c"), "tool", False),
        (ToolReturnPart("look", "x", tool_call_id="c", outcome="failed"), "tool", True),
        (ToolReturnPart("look", "x", tool_call_id="c", outcome="retried"), "tool", True),
        (ToolReturnPart("look", "x", tool_call_id="c", outcome="denied"), "tool", False),
        (RetryFeedbackPart("once more", retry=RetryInfo(cause="model_retry")), "user", True),
        (retry_prompt(tool_name="look"), "tool", True),
        (retry_prompt(), "user", True),
    ],
)
def test_what_counts_as_failed(part: ModelRequestPart, role: str, failed: bool) -> None:
    [message] = to_core([ModelRequest([part])])
    assert (message.role, message.failed) == (role, failed)


def test_output_tools_are_tools_and_metadata_says_which_have_high_stakes() -> None:
    pay = ToolDefinition(name="pay", metadata={"stakes": "high"})
    parameters = ModelRequestParameters(
        function_tools=[pay, ToolDefinition(name="look")], output_tools=[ToolDefinition(name="final_result")]
    )
    assert [(t.name, t.stakes) for t in tools_to_core(parameters)] == [
        ("pay", "high"),
        ("look", "normal"),
        ("final_result", "normal"),
    ]


def test_messages_come_back_as_they_were() -> None:
    said = [
        Message("system", "Be brief."),
        Message("user", "Look.", images=("https://example.com/cat.png",)),
        Message("assistant", "I look.", tool_calls=(ToolCall("look", {"n": 1}, id="c"),)),
        Message("tool", "found", tool_call_id="c", name="look"),
        Message("assistant", "Found."),
    ]
    assert to_core(from_core(said)) == said
