"""Typed answers: an output schema as a provider's `response_format`, or in words where there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

__all__ = ["can_constrain", "in_words", "response_format"]


def can_constrain(schema: Mapping[str, Any]) -> bool:
    """True if providers can hold a model to it: their schemas are those of objects."""
    return schema.get("type") == "object"


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The `response_format` for a schema: strict if all of its objects require all of their fields.

    Objects that do not speak of further fields are closed: every answer that then fits, fits the schema as well. Fields
    that may be missing are left so, since a model that has to fill them would make them up.
    """
    closed = _closed(schema)
    name = str(schema.get("title") or "answer")
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:64]
    strict = _is_strict(closed)
    return {
        "type": "json_schema",
        "json_schema": {"name": safe, "schema": closed if strict else dict(schema), "strict": strict},
    }


def in_words(schema: Mapping[str, Any]) -> str:
    """The instruction for a model that cannot be held to a schema. The answer is checked against it in any case."""
    return f"Answer with JSON alone, without a code fence, that fits this JSON schema:\n{json.dumps(schema)}"


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, Mapping):
        return schema
    known = cast("Mapping[str, Any]", schema)
    result = {key: value if key in ("const", "enum", "default") else _closed(value) for key, value in known.items()}
    if _is_object(known) and "properties" in known:
        result.setdefault("additionalProperties", False)
    return result


def _is_strict(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(_is_strict(item) for item in cast("list[Any]", schema))
    if not isinstance(schema, Mapping):
        return True
    known = cast("Mapping[str, Any]", schema)
    if _is_object(known) and not _requires_all(known):
        return False
    return all(_is_strict(value) for key, value in known.items() if key not in ("const", "enum"))


def _is_object(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object"


def _requires_all(schema: Mapping[str, Any]) -> bool:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    required: list[str] = schema.get("required") or []
    return schema.get("additionalProperties") is False and set(properties) == set(required)
