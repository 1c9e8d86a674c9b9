from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tierwise.jsontext import DEEPEST, is_too_deep, read_json
from tierwise.messages import ToolCall
from tierwise.schema import parse_output, schema_errors
from tierwise.verifiers.agreement import last_number

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@given(values)
def test_json_is_read_as_it_is(value: Any) -> None:
    assert read_json(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "[-Infinity]", "[" * 100_000, nested(100_000), "nope", ""])
def test_what_is_none_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        read_json(text)
    with pytest.raises(ValueError):
        parse_output({"type": "object"}, text)


def test_the_bound_on_depth() -> None:
    assert not is_too_deep(json.loads(nested(DEEPEST)))
    assert is_too_deep(json.loads(nested(DEEPEST + 1)))


@pytest.mark.parametrize("arguments", [nested(500), json.loads(nested(500)), '{"city": NaN}', "[1]", "{"])
def test_arguments_that_are_none_are_malformed(arguments: Any) -> None:
    call = ToolCall.parse("weather", arguments)
    assert call.malformed
    assert call.arguments == {}


def test_a_schema_that_refers_to_itself_exhausts_no_stack() -> None:
    schema = {"properties": {"a": {"$ref": "#"}}}
    assert "nested" in schema_errors(schema, json.loads(nested(400)))


@pytest.mark.parametrize("text", ["1e999999999", "-1e999999999999999999"])
def test_a_number_out_of_all_bounds_is_none(text: str) -> None:
    assert last_number(text) is None
