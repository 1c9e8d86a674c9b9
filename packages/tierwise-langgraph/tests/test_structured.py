"""Typed answers by every method: one call if valid, up a tier if not."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel, field_validator
from pydantic.v1 import BaseModel as BaseModelV1
from tierwise import Reply as Answer
from tierwise.errors import RejectedError
from tierwise.testing.provider import Call, LoopbackProvider, Reply, Request
from tierwise_langgraph import RoutedChatModel
from typing_extensions import TypedDict

Make = Callable[..., RoutedChatModel]

ADA: dict[str, Any] = {"name": "Ada", "age": 36}


class Person(BaseModel):
    """A person."""

    name: str
    age: int

    @field_validator("age")
    @classmethod
    def lives(cls, age: int) -> int:
        if age > 150:
            raise ValueError("nobody is that old")
        return age


class PersonDict(TypedDict):
    """A person."""

    name: str
    age: int


class OldPerson(BaseModelV1):
    """A person, in pydantic 1."""

    name: str
    age: int


SCHEMA = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


def as_asked(value: Any) -> Callable[[Request], Reply]:
    """Answers by the tool that stands for the type, or as JSON."""

    def reply(request: Request) -> Reply:
        if request.tools:
            return Reply(tool_calls=[Call(request.tools[0]["function"]["name"], value)])
        return Reply(json=value)

    return reply


METHODS = pytest.mark.parametrize("method", [None, "function_calling", "json_mode", "json_schema"])


@METHODS
@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        pytest.param(Person, Person(name="Ada", age=36), id="pydantic"),
        pytest.param(PersonDict, ADA, id="typeddict"),
        pytest.param(SCHEMA, ADA, id="json-schema"),
        pytest.param(OldPerson, OldPerson(name="Ada", age=36), id="pydantic-1"),
    ],
)
async def test_a_valid_answer_of_the_small_tier_costs_one_call(
    provider: LoopbackProvider, routed: Make, method: str | None, schema: Any, expected: Any
) -> None:
    provider.on("small", as_asked(ADA))
    typed = routed().with_structured_output(schema, method=method)
    assert typed.invoke("Who?") == expected
    assert await typed.ainvoke("Who?") == expected
    assert list(typed.stream("Who?")) == [expected]
    assert [c async for c in typed.astream("Who?")] == [expected]
    assert [c.model for c in provider.calls] == ["small"] * 4


@METHODS
def test_what_does_not_fit_goes_up(provider: LoopbackProvider, routed: Make, method: str | None) -> None:
    # The age fits the JSON schema: that nobody is so old is known to the model's own code alone.
    provider.on("small", as_asked({"name": "Ada", "age": 360}))
    provider.on("large", as_asked(ADA))
    assert routed().with_structured_output(Person, method=method).invoke("Who?") == Person(name="Ada", age=36)
    assert [c.model for c in provider.calls] == ["small", "large"]


def test_each_target_is_asked_in_its_own_way(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(text="Ada."))
    provider.on("large", as_asked(ADA))
    routed().with_structured_output(Person, method="json_schema").invoke("Who?")
    small, large = provider.calls
    assert small.body["format"]["properties"].keys() == {"name", "age"}
    assert large.body["response_format"]["json_schema"]["strict"] is True
    routed().with_structured_output(Person, method="function_calling", strict=True).invoke("Who?")
    small, large = provider.calls[2:]
    assert small.tools[0]["function"]["name"] == "Person"
    assert large.body["tool_choice"] == {"type": "function", "function": {"name": "Person"}}
    assert large.tools[0]["function"]["strict"] is True


def test_a_call_that_a_small_model_writes_as_text_is_read(provider: LoopbackProvider, routed: Make) -> None:
    provider.on(
        "small", Reply(text=f'```json\n{{"name": "Person", "arguments": {Person(**ADA).model_dump_json()}}}\n```')
    )
    typed = routed().with_structured_output(Person, method="function_calling")
    assert typed.invoke("Who?") == Person(name="Ada", age=36)
    assert provider.count() == 1


def test_json_mode_needs_no_schema(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json=[1]))
    provider.on("large", Reply(json={"any": "thing"}))
    typed = routed().with_structured_output(method="json_mode")
    assert typed.invoke("JSON, please.") == {"any": "thing"}
    assert provider.calls[0].body["format"] == "json"
    assert provider.calls[1].body["response_format"] == {"type": "json_object"}


@METHODS
def test_the_raw_message_beside_the_answer(
    provider: LoopbackProvider, routed: Make, replies: list[Answer], method: str | None
) -> None:
    provider.on("small", as_asked(ADA))
    both = routed().with_structured_output(Person, method=method, include_raw=True).invoke("Who?")
    assert (both["parsed"], both["parsing_error"]) == (Person(name="Ada", age=36), None)
    assert isinstance(both["raw"], AIMessage)
    assert both["raw"].response_metadata["tierwise"]["status"] == "verified"
    assert replies[0].output == both["parsed"]


async def test_what_nobody_can_answer_is_an_error_with_the_attempts(provider: LoopbackProvider, routed: Make) -> None:
    for model in ("small", "large"):
        provider.on(model, as_asked({"name": "Ada"}))
    typed = routed().with_structured_output(Person)
    with pytest.raises(RejectedError, match="ValidOutput: does not fit the schema") as caught:
        typed.invoke("Who?")
    assert [row.model for row in caught.value.attempts] == ["ollama:small", "openai:large"]
    with_raw = routed().with_structured_output(Person, include_raw=True)
    for both in (with_raw.invoke("Who?"), await with_raw.ainvoke("Who?")):
        assert both["parsed"] is None
        assert isinstance(both["parsing_error"], RejectedError)
        assert both["raw"].text == '{"name": "Ada"}'


def test_a_provider_s_response_format_is_held_to_its_schema(provider: LoopbackProvider, routed: Make) -> None:
    provider.on("small", Reply(json={"name": "Ada"}))
    provider.on("large", Reply(json=ADA))
    form = {"type": "json_schema", "json_schema": {"name": "Person", "schema": SCHEMA}}
    answer = routed().bind(response_format=form).invoke("Who?")
    assert Person.model_validate_json(answer.text) == Person(name="Ada", age=36)
    assert [c.schema is not None for c in provider.calls] == [True, True]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"method": "json"}, "method='json' must be one of"),
        ({"schema": None}, "schema=None needs method='json_mode'"),
        ({"tools": []}, "unsupported arguments: tools"),
    ],
)
def test_wrong_arguments_are_refused(routed: Make, options: dict[str, Any], says: str) -> None:
    arguments: dict[str, Any] = {"schema": Person} | options
    with pytest.raises(ValueError, match=says):
        routed().with_structured_output(**arguments)
