"""Nobody's words are in a trace unless that was asked for; the text of an error never is."""

from __future__ import annotations

import json

import pytest
from tierwise import Attempt, Cascade, Judge, ModelSpec, Outcome, Router, Single, Task, Tool, ToolCall
from tierwise.backends.function import FunctionBackend
from tierwise.errors import AllModelsFailedError
from tierwise.messages import Message
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise.testing.provider.script import Request
from tierwise.verdict import Verdict

from .recording import FLEET, Drive, Recording, every_driver, router, told

CANARY = "sk-canary-4711"
TOOL = Tool("look_up", f"Looks up {CANARY}.", {"type": "object", "properties": {"key": {"type": "string"}}})
TASK = Task(
    [
        Message("system", f"Guard {CANARY}."),
        Message("user", f"Who is {CANARY}?", images=("aGk=",)),
        Message("assistant", "", tool_calls=(ToolCall("look_up", {"key": CANARY}, id="c1"),), thinking=CANARY),
        Message("tool", f"{CANARY} is known.", tool_call_id="c1", name="look_up"),
        Message("user", "Well?"),
    ],
    tools=[TOOL],
)


def quoting(outcome: Outcome) -> Verdict:
    return Verdict("accept" if "large" in outcome.text else "reject", f"it said {outcome.text}", verifier="quoting")


def leak(request: Request) -> Reply:
    """What a model, a judge or a broken server may say."""
    if request.schema is not None:
        return Reply(json={"reason": f"{CANARY} is wrong", "score": 1})
    return Reply(text=f"{request.model} says {CANARY}", thinking=CANARY)


@every_driver
def test_without_content_nobodys_words_are_recorded(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    for name in ("small", "large"):
        provider.on(name, leak)
        provider.describe(name, capabilities=("completion", "tools", "thinking", "vision"))
    drive(router(provider, recording.telemetry(), strategy=Cascade(Judge("large") | quoting)), TASK)
    drafts = [told(s)["tierwise.attempt.purpose"] for s in recording.attempts]
    assert drafts == ["draft", "judge", "answer"]
    assert CANARY not in recording.dump()


@every_driver
@pytest.mark.parametrize("content", [False, True])
def test_the_text_of_an_error_is_never_recorded(
    drive: Drive, content: bool, provider: LoopbackProvider, recording: Recording
) -> None:
    provider.on("small", Reply(status=401, error=f"Incorrect API key: {CANARY}"))
    provider.on("large", Reply(status=500, error=f"Bearer {CANARY}"))
    with pytest.raises(AllModelsFailedError):
        drive(router(provider, recording.telemetry(content=content)), "Hello?")
    assert [told(s)["error.type"] for s in recording.attempts] == ["AuthenticationError", "UnavailableError"]
    assert CANARY not in recording.dump()


@every_driver
def test_with_content_requests_answers_and_drafts_are_recorded(
    drive: Drive, provider: LoopbackProvider, recording: Recording
) -> None:
    provider.on("small", leak)
    for name in ("small", "large"):
        provider.describe(name, capabilities=("completion", "tools", "thinking", "vision"))
    provider.on("large", Reply(tool_calls=[Call("look_up", {"key": "x"}, id="c2")]))
    drive(router(provider, recording.telemetry(content=True), strategy=Cascade(quoting)), TASK)
    draft, answer = recording.attempts
    asked = json.loads(told(draft)["gen_ai.input.messages"])
    assert asked == [
        {"role": "system", "parts": [{"type": "text", "content": f"Guard {CANARY}."}]},
        {"role": "user", "parts": [{"type": "text", "content": f"Who is {CANARY}?"}, {"type": "image"}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": CANARY},
                {"type": "tool_call", "id": "c1", "name": "look_up", "arguments": {"key": CANARY}},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": f"{CANARY} is known."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Well?"}]},
    ]
    assert json.loads(told(draft)["gen_ai.tool.definitions"])[0]["name"] == "look_up"
    (message,) = json.loads(told(draft)["gen_ai.output.messages"])
    assert message["parts"] == [{"type": "text", "content": f"small says {CANARY}"}]
    assert told(draft)["tierwise.attempt.verdict.evidence"] == f"it said small says {CANARY}"
    (message,) = json.loads(told(answer)["gen_ai.output.messages"])
    assert [(part["name"], part["arguments"]) for part in message["parts"]] == [("look_up", {"key": "x"})]


class Behind(FunctionBackend):
    """Calls a function as if it were behind an address that holds a credential."""

    def server(self, model: ModelSpec) -> str:
        return f"https://user:{CANARY}@gateway.example/v1?key={CANARY}"


def test_of_a_servers_address_only_host_and_port_are_recorded(recording: Recording) -> None:
    def answers(attempt: Attempt) -> str:
        return "Yes."

    backends = {"ollama": Behind(answers)}
    Router(FLEET, strategy=Single(), backends=backends, telemetry=recording.telemetry(content=True)).run("Is it so?")
    (attempt,) = recording.attempts
    assert (told(attempt)["server.address"], told(attempt)["server.port"]) == ("gateway.example", 443)
    assert CANARY not in recording.dump()


def test_a_models_reasoning_is_a_part_of_its_answer(recording: Recording) -> None:
    def thinks(attempt: Attempt) -> Outcome:
        return Outcome(attempt, text="Yes.", thinking="Hm.", finish_reason="stop")

    made = Router(FLEET, strategy=Single(), backends={"ollama": thinks}, telemetry=recording.telemetry(content=True))
    made.run("Is it so?")
    (message,) = json.loads(told(recording.attempts[0])["gen_ai.output.messages"])
    parts = [{"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "Yes."}]
    assert message == {"role": "assistant", "parts": parts, "finish_reason": "stop"}


def test_a_text_that_is_no_unicode_can_be_written(provider: LoopbackProvider, recording: Recording) -> None:
    router(provider, recording.telemetry(content=True)).run(Task("Hello \ud800?"))
    (attempt,) = recording.attempts
    told(attempt)["gen_ai.input.messages"].encode()
