from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.attempt import Attempt, Outcome
from tierwise.backends import repair
from tierwise.backends.repair import repair_tool_calls, repaired
from tierwise.fleet.model import ModelSpec
from tierwise.messages import Tool, ToolCall
from tierwise.task import Task

WEATHER = Tool(
    "get_weather",
    "The weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
NOW = Tool("now")
TOOLS = (WEATHER, NOW)
CALL = '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
OSLO = ("get_weather", {"city": "Oslo"})


def read(text: str) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, dict(call.arguments)) for call in repair_tool_calls(text, TOOLS)]


def outcome(text: str, *, tools: tuple[Tool, ...] = TOOLS, **fields: Any) -> Outcome:
    attempt = Attempt(Task("Weather in Oslo?", tools=tools), ModelSpec("ollama:m"))
    return Outcome(attempt, text=text, **fields)


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"```json\n{CALL}\n```",
        f"```\n{CALL}\n```",
        f"```json{CALL}```",
        f"```json\n{CALL}",
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<tool_call>{CALL}",
        f"```xml\n<tool_call>{CALL}</tool_call>\n```",
        f"Sure, I look that up.\n```json\n{CALL}\n```",
        f"{CALL}\n\nThis asks for the weather in Oslo [1].",
        f"[{CALL}]",
        f'{{"tool_calls": [{CALL}]}}',
        '{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}',
        '{"function": "get_weather", "parameters": {"city": "Oslo"}}',
        '{"tool": "get_weather", "args": {"city": "Oslo"}}',
        '{"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}',
        '{"name": "get_weather", "city": "Oslo"}',
        '{"name": "get_weather", "arguments": {"city": "Oslo",},}',
        "{'name': 'get_weather', 'arguments': {'city': 'Oslo'}}",
        '{"name": "get_weather", "arguments": {"city": "Oslo"}',
        '{"name": "get_weather", "thought": "Oslo is in {Norway}", "arguments": {"city": "Oslo"}}',
    ],
)
def test_the_forms_in_which_models_write_a_call(text: str) -> None:
    assert read(text) == [OSLO]


@pytest.mark.parametrize(
    "text",
    [
        f"{CALL}\n{CALL}",
        f"{CALL}, {CALL}",
        f"[{CALL}, {CALL}]",
        f"```json\n{CALL}\n```\n```json\n{CALL}\n```",
        f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>",
        f"<tools>{CALL}\n{CALL}</tools>",
    ],
)
def test_several_calls(text: str) -> None:
    assert read(text) == [OSLO, OSLO]
    first, second = repair_tool_calls(text, TOOLS)
    assert first.id != second.id


@pytest.mark.parametrize(
    "text",
    [
        "It is sunny in Oslo.",
        '{"city": "Oslo", "sky": "clear"}',
        '{"name": "Oslo", "arguments": {"city": "Oslo"}}',
        '{"name": "get_weather", "founded": 1048}',
        '{"name": "get_weather"}',
        '{"name": "get_weather", "arguments": [1]}',
        '{"name": "get_weather", "arguments": "Oslo"}',
        '{"name": "get_weather", "arguments": {"city": NaN}}',
        f'{CALL}\n{{"sky": "clear"}}',
        f"Call it like this, for example:\n```json\n{CALL}\n```",
        f"You can call the tool with\n```json\n{CALL}\n```",
        f"```json\n{CALL}\n```\nis sent by this code:\n```python\nsend(call)\n```",
        f"```json\n{CALL}\n```\n" + "The server then looks up the city and gives back the weather. " * 5,
        f'```python\ncall = {CALL}\nprint(call["name"])\n```',
        '{"name": "get_weather", "arguments": {"city": "Os',
        '{"name": "get_weather", "arguments": {"city": "Oslo", "days": 1',
        f'{CALL}\n{CALL}\n{{"name": "get_weather", "argu',
        "<tool_call>{broken</tool_call>",
    ],
)
def test_an_answer_that_only_shows_json_is_no_call(text: str) -> None:
    assert read(text) == []
    assert repaired(outcome(text)).text == text


def test_a_call_between_tags_is_one_whatever_stands_around_it() -> None:
    prose = "For example, you could ask for it. " * 20
    said = repaired(outcome(f"{prose}<tool_call>{CALL}</tool_call>"))
    assert [c.name for c in said.tool_calls] == ["get_weather"]
    assert said.text == prose.strip()


def test_what_is_said_beside_a_call_stays_text_and_marks_alone_do_not() -> None:
    assert repaired(outcome(f"I look it up.\n{CALL}")).text == "I look it up."
    assert repaired(outcome(f"->\n{CALL}\n---")).text == ""


def test_a_repaired_call_says_so_and_has_an_id_that_no_other_turn_has() -> None:
    first, second = repaired(outcome(CALL)), repaired(outcome(CALL))
    assert first.repaired
    assert first.tool_calls[0].id != second.tool_calls[0].id


def test_a_tool_without_parameters_may_be_called_by_its_name_alone() -> None:
    assert read('{"name": "now"}') == [("now", {})]


@pytest.mark.parametrize(
    "given",
    [
        outcome(CALL, tools=()),
        outcome(CALL, tool_calls=(ToolCall("now"),)),
        outcome(CALL, error=ValueError("broken off")),
    ],
    ids=["no tools", "calls of its own", "failed"],
)
def test_what_needs_no_repair_is_left_alone(given: Outcome) -> None:
    assert repaired(given) is given


arguments = st.dictionaries(
    st.text(max_size=5),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists, max_leaves=5),
    max_size=3,
)
envelopes = st.sampled_from(["{}", "```json\n{}\n```", "<tool_call>{}</tool_call>", "I call it.\n{}", "[{}]"])


@given(st.lists(arguments, min_size=1, max_size=3), envelopes)
def test_arguments_come_out_as_they_went_in(given: list[dict[str, Any]], envelope: str) -> None:
    calls = [json.dumps({"name": "now", "arguments": a}) for a in given]
    text = ", ".join(calls) if envelope == "[{}]" else "\n".join(calls)
    if "```" in text or "<" in text:
        return
    assert read(envelope.replace("{}", text)) == [("now", a) for a in given]


@given(st.text(alphabet="{}[]\"'`<>/\\:,tool_calnme \n", max_size=60))
def test_no_text_breaks_it_and_only_known_tools_are_called(text: str) -> None:
    assert {name for name, _ in read(text)} <= {"now", "get_weather"}


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_call_of_an_unknown_tool_is_never_made(before: str, after: str) -> None:
    assert read(f'{before}{{"name": "delete_all", "arguments": {{}}}}{after}') == []


HOSTILE = {
    "braces": "{",
    "brackets": "[",
    "pairs": "[]",
    "objects": '{"a":',
    "quotes": '{"',
    "single quotes": "{'\\'",
    "fences": "```",
    "blank fences": "```\n \n",
    "tags": "<tool_call>",
    "half tags": "<tool_call",
    "commas": "{ , ",
    "closed": "{}",
    "calls": CALL + "\n",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_its_work_grows_with_the_text_and_not_with_its_square(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (_work(unit * (size // len(unit)), monkeypatch) for size in (5_000, 20_000))
    assert large <= 5 * small + 1_000


def _work(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Lines that were run in the module, and characters that were given to the JSON parser."""
    work = 0
    loads = json.loads

    def counted(given: str, **options: Any) -> Any:
        nonlocal work
        work += len(given)
        return loads(given, **options)

    def line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal work
        work += 1
        return line

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        return line if frame.f_code.co_filename == repair.__file__ else None

    before = sys.gettrace()
    with monkeypatch.context() as patched:
        patched.setattr(json, "loads", counted)
        sys.settrace(trace)
        try:
            repair_tool_calls(text, TOOLS)
        finally:
            sys.settrace(before)
    return work
