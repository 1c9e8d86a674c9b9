"""Output schemas: a JSON schema, a pydantic model, or any type that pydantic understands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from tierwise.errors import ConfigError, MissingExtraError
from tierwise.jsontext import read_json

__all__ = ["as_json_schema", "check_schema", "parse_output", "schema_errors", "unfence"]


def as_json_schema(schema: Any) -> dict[str, Any]:
    """The JSON schema that an output schema stands for.

    Raises:
        ConfigError: It is no schema.
        MissingExtraError: It is a type, and pydantic is not installed.
    """
    if isinstance(schema, Mapping):
        return dict(cast("Mapping[str, Any]", schema))
    return _adapter(schema).json_schema()


def parse_output(schema: Any, text: str) -> Any:
    """The typed output that the text holds.

    A code fence around the whole text is taken off, as small models write one whatever they are told.

    Raises:
        ValueError: The text is no JSON, or does not fit the schema; the message says where.
    """
    text = unfence(text)
    if not isinstance(schema, Mapping):
        return _adapter(schema).validate_json(text)
    try:
        value = read_json(text)
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from error
    wrong = schema_errors(cast("Mapping[str, Any]", schema), value)
    if wrong:
        raise ValueError(wrong)
    return value


def schema_errors(schema: Mapping[str, Any], value: Any) -> str:
    """What is wrong with a value, by a JSON schema; empty if nothing is.

    References are looked up within the schema and never fetched: a tool's schema may come from anywhere.

    Raises:
        ConfigError: The schema itself is none, or refers to what is not in it.
    """
    from jsonschema.exceptions import best_match  # pyright: ignore[reportUnknownVariableType]
    from referencing.exceptions import Unresolvable

    try:
        error = cast("Any", best_match(_validator(json.dumps(schema, sort_keys=True)).iter_errors(value)))
    except Unresolvable as missing:
        raise ConfigError(
            f"no valid JSON schema: reference {missing.ref!r} is not within it", setting="output_schema", value=schema
        ) from missing
    except RecursionError:  # a schema that refers to itself takes several frames for each level
        return "nested too deeply to be held against the schema"
    if error is None:
        return ""
    path: str = error.json_path.removeprefix("$").lstrip(".")
    return f"{path}: {error.message}" if path else error.message


def check_schema(schema: Mapping[str, Any]) -> None:
    """Holds a JSON schema against the rules for schemas.

    Raises:
        ConfigError: It is none; the message says where.
    """
    _validator(json.dumps(schema, sort_keys=True))


def unfence(text: str) -> str:
    """The text without the code fence that surrounds all of it."""
    stripped = text.strip()
    if not (stripped.startswith("```") and stripped.endswith("```") and "\n" in stripped):
        return stripped
    return stripped[stripped.index("\n") + 1 : -3].strip()


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    from jsonschema import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing.jsonschema import EMPTY_REGISTRY

    parsed = json.loads(schema)
    kind: Any = validator_for(parsed, default=Draft202012Validator)
    try:
        kind.check_schema(parsed)
    except SchemaError as error:
        raise ConfigError(f"no valid JSON schema: {error.message}", setting="output_schema", value=parsed) from error
    return kind(parsed, registry=EMPTY_REGISTRY)


def _adapter(schema: Any) -> Any:
    try:
        from pydantic import PydanticSchemaGenerationError, TypeAdapter
    except ImportError as error:
        raise MissingExtraError(f"output_schema={schema!r}", "pydantic") from error
    try:
        return _cached_adapter(TypeAdapter, schema)
    except (PydanticSchemaGenerationError, TypeError) as error:  # TypeError: what cannot be hashed is no type
        raise ConfigError(
            f"output_schema={schema!r} must be a JSON schema, a pydantic model, or a type that pydantic understands",
            setting="output_schema",
            value=schema,
        ) from error


@lru_cache(maxsize=256)
def _cached_adapter(kind: Any, schema: Any) -> Any:
    return kind(schema)
