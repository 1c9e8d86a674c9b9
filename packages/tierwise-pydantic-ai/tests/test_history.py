"""Histories that go from one provider's models to another's: what reaches the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model
from tierwise import Task
from tierwise.testing.provider import Call, LoopbackProvider, Reply
from tierwise_pydantic_ai import RoutedModel
from tierwise_pydantic_ai.history import moved

Make = Callable[..., RoutedModel]

DIALECTS = ("ollama", "openai")


def step(number: int) -> list[ModelMessage]:
    """One step of an agent: a call with thoughts and what else a provider has to say, and its result."""
    provider = DIALECTS[number % 2]
    call = ToolCallPart("look", {"n": number}, tool_call_id=f"call_{number}", provider_name=provider)
    thought = ThinkingPart(
        f"thought {number} of {provider}", id="reasoning", signature=f"signed-{number}", provider_name=provider
    )
    response = ModelResponse(
        [thought, call], provider_name=provider, model_name=provider, provider_details={"system": f"secret-{number}"}
    )
    return [response, ModelRequest([ToolReturnPart("look", f"found {number}", tool_call_id=f"call_{number}")])]


def ten_steps() -> list[ModelMessage]:
    return [ModelRequest([UserPromptPart("Look ten times.")]), *(m for n in range(10) for m in step(n))]


@pytest.mark.parametrize("tier", ["small", "large"])
async def test_ten_steps_of_two_dialects_reach_either_model_whole(
    provider: LoopbackProvider, routed: Make, tier: str
) -> None:
    provider.on(tier, Reply(text="Done."))
    agent = Agent(routed(task={"min_tier": tier, "max_tier": tier}))
    assert (await agent.run(message_history=ten_steps())).output == "Done."
    sent = provider.calls[0].messages
    assert [m["role"] for m in sent] == ["user", *["assistant", "tool"] * 10]
    assert [m["tool_calls"][0]["id"] for m in sent[1::2]] == [f"call_{n}" for n in range(10)]
    assert [(m["tool_call_id"], m["content"]) for m in sent[2::2]] == [(f"call_{n}", f"found {n}") for n in range(10)]
    own = 0 if tier == "small" else 1
    wire = repr(sent)
    assert [n for n in range(10) if f"thought {n} of" in wire] == list(range(own, 10, 2))
    assert "<think>" not in wire
    assert "secret" not in wire


async def test_an_agent_s_own_steps_go_back_and_forth(
    provider: LoopbackProvider, routed: Make, replies: list[Any]
) -> None:
    """Real answers of both dialects, each with thoughts of its own, in one run of an agent."""
    provider.on("small", *[Reply(thinking="small thinks", tool_calls=[Call("look", {"n": n})]) for n in range(5)])
    provider.on(
        "large",
        *[Reply(thinking="large thinks", tool_calls=[Call("look", {"n": n})]) for n in range(5)],
        Reply(text="Done."),
    )
    steps = iter(["small", "large"] * 5 + ["large"])

    def back_and_forth(task: Task) -> str:
        return next(steps)

    agent = Agent(routed(policy=back_and_forth))

    def look(n: int) -> str:
        return f"found {n}"

    agent.tool_plain(look)
    assert (await agent.run("Look ten times.")).output == "Done."
    assert [r.tier for r in replies] == ["small", "large"] * 5 + ["large"]
    for call in provider.calls:
        other = "large" if call.model == "small" else "small"
        assert f"{other} thinks" not in repr(call.messages)
        asked = [c["id"] for m in call.messages for c in m.get("tool_calls") or ()]
        assert [m["tool_call_id"] for m in call.messages if m["role"] == "tool"] == asked
        assert len(set(asked)) == len(asked)


def test_a_history_that_is_fit_is_the_same_list(models: dict[str, Model]) -> None:
    own = [m for n in range(0, 10, 2) for m in step(n)]
    history: list[ModelMessage] = [ModelRequest([UserPromptPart("Look.")]), *own]
    assert moved(history, models["small"]) is history
    fresh: list[ModelMessage] = [ModelRequest([UserPromptPart("Look.")])]
    assert moved(fresh, models["large"]) is fresh


def test_only_what_has_to_change_is_written_anew(models: dict[str, Model]) -> None:
    history = ten_steps()
    fit = moved(history, models["large"])
    kept = [new is old for new, old in zip(fit, history, strict=True)]
    assert [n for n, same in enumerate(kept) if not same and isinstance(history[n], ModelResponse)] == [1, 5, 9, 13, 17]
    assert moved(fit, models["large"]) is fit


def test_an_id_that_is_too_long_is_changed_on_both_sides(models: dict[str, Model]) -> None:
    long = "toolu_" + "x" * 60
    prompt = UserPromptPart("Look, and go on.")
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart("Look.")]),
        ModelResponse([ToolCallPart("look", {"n": 1}, tool_call_id=long)], provider_name="anthropic"),
        ModelRequest([ToolReturnPart("look", "found", tool_call_id=long), prompt], instructions="Be brief."),
    ]
    _, response, request = moved(history, models["large"])
    assert isinstance(response.parts[0], ToolCallPart)
    assert isinstance(request.parts[0], ToolReturnPart)
    assert response.parts[0].tool_call_id == request.parts[0].tool_call_id != long
    assert len(response.parts[0].tool_call_id) <= 40
    assert request.parts[1] is prompt
    assert isinstance(request, ModelRequest)
    assert request.instructions == "Be brief."


def test_what_another_provider_s_own_tools_found_is_dropped_and_its_text_kept(models: dict[str, Model]) -> None:
    searched = [
        NativeToolCallPart("web_search", {"q": "x"}, tool_call_id="s", provider_name="anthropic"),
        NativeToolReturnPart("web_search", {"r": 1}, tool_call_id="s", provider_name="anthropic"),
    ]
    history: list[ModelMessage] = [
        ModelRequest([UserPromptPart("Search.")]),
        ModelResponse(
            [ThinkingPart("hm", provider_name="anthropic"), *searched, TextPart("Found.")], provider_name="anthropic"
        ),
        ModelRequest([UserPromptPart("And?")]),
    ]
    [first, response, last] = moved(history, models["large"])
    assert (first, last) == (history[0], history[2])
    assert [p.part_kind for p in response.parts] == ["text"]
