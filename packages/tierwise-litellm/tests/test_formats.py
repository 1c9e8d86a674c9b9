from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from tierwise.schema import as_json_schema, schema_errors
from tierwise_litellm.formats import can_constrain, in_words, response_format


class Street(BaseModel):
    name: str


class City(BaseModel):
    name: str
    streets: list[Street]


class Loose(BaseModel):
    name: str
    nickname: str = ""


def sent(schema: Any) -> dict[str, Any]:
    return response_format(as_json_schema(schema))["json_schema"]


def test_a_schema_whose_fields_are_all_required_is_strict_in_all_its_parts() -> None:
    format_ = sent(City)
    assert (format_["strict"], format_["name"]) == (True, "City")
    assert format_["schema"]["additionalProperties"] is False
    assert format_["schema"]["$defs"]["Street"]["additionalProperties"] is False


@pytest.mark.parametrize("schema", [Loose, dict[str, int], {"type": "object"}])
def test_a_schema_with_free_fields_is_sent_unchanged(schema: Any) -> None:
    format_ = sent(schema)
    given = as_json_schema(schema)
    if format_["strict"]:
        assert not given.get("properties")
    else:
        assert format_["schema"] == given


@pytest.mark.parametrize("schema", [list[int], int, City | Loose])
def test_only_objects_can_be_constrained(schema: Any) -> None:
    assert not can_constrain(as_json_schema(schema))
    assert can_constrain(as_json_schema(City))


def test_a_name_holds_only_what_providers_take() -> None:
    assert sent({"type": "object", "title": "Städte & more"})["name"] == "St_dte___more"


def test_a_schema_in_words() -> None:
    assert '{"type": "array"}' in in_words({"type": "array"})


NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.sampled_from([{"type": "string"}, {"type": "integer"}])


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def build(properties: dict[str, Any], required: set[str], closed: bool) -> dict[str, Any]:
        schema = {"type": "object", "properties": properties, "required": sorted(required & set(properties))}
        return schema | ({"additionalProperties": False} if closed else {})

    return st.builds(build, st.dictionaries(NAMES, inner, max_size=3), st.sets(NAMES), st.booleans())


SCHEMAS = objects(st.recursive(LEAVES, objects, max_leaves=6))
VALUES = st.recursive(
    st.integers() | st.text(max_size=2), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)


@given(SCHEMAS, VALUES)
def test_what_fits_the_schema_that_is_sent_fits_the_schema_that_was_given(schema: Any, value: Any) -> None:
    if not schema_errors(sent(schema)["schema"], value):
        assert not schema_errors(schema, value)
