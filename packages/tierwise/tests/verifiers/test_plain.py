from __future__ import annotations

from typing import Any

import pytest
from tierwise.messages import ToolCall
from tierwise.verifiers import NotEmpty, NotRefusal


@pytest.mark.parametrize(("text", "wanted"), [("Paris.", "abstain"), ("", "reject"), (" \n", "reject")])
def test_empty_is_rejected_and_length_is_no_evidence(bench: Any, text: str, wanted: str) -> None:
    verdict = bench.judge(NotEmpty(), bench.answer(text)).verdict
    assert (verdict.result, verdict.conclusive) == (wanted, wanted == "reject")


def test_a_tool_call_without_text_is_not_empty(bench: Any) -> None:
    assert bench.judge(NotEmpty(), bench.answer(tool_calls=(ToolCall("look"),))).verdict.result == "abstain"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\N{RIGHT SINGLE QUOTATION MARK}m sorry, but I cannot assist with this request.",
        "Sorry, I can't do that.",
        "I am very sorry, but I'm unable to do this.",
        "I'm afraid that is something we cannot share.",
        "I cannot provide that.",
        "I am unable to answer.",
        "As an AI language model, I don't have access to your files.",
        "I must decline.",
    ],
)
def test_the_words_of_a_refusal(bench: Any, text: str) -> None:
    assert bench.judge(NotRefusal(), bench.answer(text)).verdict.rejected


@pytest.mark.parametrize(
    "text",
    [
        "Paris.",
        "I'm sorry to hear that. Here is what to do: restart it.",
        "I'm sorry to hear that your printer can't connect. Turn it off and on.",
        "I'm afraid the ticket cannot be refunded: it was bought at a reduced price.",
        "The function cannot help but return None.",
        "She said: I can't help you.",
        "A process that can't provide a lock waits.",
    ],
)
def test_an_answer_with_such_words_is_none(bench: Any, text: str) -> None:
    assert bench.judge(NotRefusal(), bench.answer(text)).verdict.result == "abstain"


def test_what_the_provider_refused_is_refused(bench: Any) -> None:
    assert bench.judge(NotRefusal(), bench.answer("Well,", finish_reason="content_filter")).verdict.rejected
