"""Reads request bodies, and refuses the malformed ones in the words of Ollama's JSON decoder."""

import json
from collections.abc import Mapping
from typing import Any, cast

from tierwise_embedded.errors import ApiError

__all__ = ["Field", "decode", "check_fields", "CHAT_FIELDS", "GENERATE_FIELDS", "EMBED_FIELDS", "OPENAI_CHAT_FIELDS"]

Field = tuple[type | tuple[type, ...], str]
"""The Python types that a field takes, and the name of its Go type."""

_STRING: Field = (str, "string")
_BOOL: Field = (bool, "bool")
_INT: Field = (int, "int")
_OPTIONS: Field = (dict, "map[string]interface {}")

_COMMON: Mapping[str, Field] = {"model": _STRING, "options": _OPTIONS, "truncate": _BOOL}
_GENERATING: Mapping[str, Field] = {
    **_COMMON,
    "stream": _BOOL,
    "shift": _BOOL,
    "logprobs": _BOOL,
    "top_logprobs": _INT,
    "_debug_render_only": _BOOL,
}
CHAT_FIELDS: Mapping[str, Field] = {
    **_GENERATING,
    "messages": (list, "[]api.Message"),
    "tools": (list, "api.Tools"),
}
GENERATE_FIELDS: Mapping[str, Field] = {
    **_GENERATING,
    "prompt": _STRING,
    "suffix": _STRING,
    "system": _STRING,
    "template": _STRING,
    "context": (list, "[]int"),
    "raw": _BOOL,
    "images": (list, "[]api.ImageData"),
}
EMBED_FIELDS: Mapping[str, Field] = {**_COMMON, "dimensions": _INT}
OPENAI_CHAT_FIELDS: Mapping[str, Field] = {
    "model": _STRING,
    "messages": (list, "[]openai.Message"),
    "stream": _BOOL,
    "max_tokens": _INT,
    "temperature": ((int, float), "float64"),
    "top_p": ((int, float), "float64"),
    "seed": _INT,
    "logprobs": _BOOL,
    "top_logprobs": _INT,
    "tools": (list, "[]api.Tool"),
    "response_format": (dict, "openai.ResponseFormat"),
    "stream_options": (dict, "openai.StreamOptions"),
}


def decode(body: bytes) -> dict[str, Any]:
    """Return the object in a request body.

    Raises:
        ApiError: 400, with the decoder's text.
    """
    if not body.strip():
        raise ApiError(400, "missing request body")
    try:
        text = body.decode()
        value = json.loads(text)
    except RecursionError as error:
        raise ApiError(400, "exceeded max depth") from error
    except UnicodeDecodeError as error:
        raise ApiError(400, "invalid UTF-8 in request body") from error
    except json.JSONDecodeError as error:
        raise ApiError(400, _decoder_text(error)) from error
    if not isinstance(value, dict):
        raise ApiError(400, f"json: cannot unmarshal {_kind(value)} into Go value of type api.Request")
    return value  # pyright: ignore[reportUnknownVariableType]


def check_fields(request: Mapping[str, Any], name: str, fields: Mapping[str, Field]) -> None:
    """Refuse fields of a wrong type, as Go's decoder does; nulls and unknown fields pass.

    Args:
        request: The decoded body.
        name: The Go name of the request's type, which the text quotes.
        fields: What each known field takes.

    Raises:
        ApiError: 400, with the decoder's text.
    """
    for key, (types, go_type) in fields.items():
        value = request.get(key)
        if value is None:
            continue
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            text = f"json: cannot unmarshal {_kind(value)} into Go struct field {name}.{key} of type {go_type}"
            raise ApiError(400, text)
    tools: list[Any] = request.get("tools") or []
    messages: list[Any] = request.get("messages") or []
    for tool in tools:
        _check_call(tool, f"{name}.tools", "api.Tool")
    for message in messages:
        _check_message(message, f"{name}.messages")


def _check_message(message: object, field: str) -> None:
    fields = _require(message, dict, field, "api.Message")
    _require(fields.get("role"), str, f"{field}.role", "string")
    _check_content(fields.get("content"), f"{field}.content", parts=field.startswith("ChatCompletion"))
    calls: Any = fields.get("tool_calls")
    _require(calls, list, f"{field}.tool_calls", "[]api.ToolCall")
    for call in calls or ():
        _check_call(call, f"{field}.tool_calls", "api.ToolCall")


def _check_content(content: object, field: str, *, parts: bool) -> None:
    if not (parts and isinstance(content, list)):
        _require(content, str, field, "string")
        return
    for part in cast("list[Any]", content):
        _require(part, dict, field, "openai.ContentPart")


def _check_call(value: object, field: str, go_type: str) -> None:
    call = _require(value, dict, field, go_type)
    _require(call.get("function"), dict, f"{field}.function", f"{go_type}Function")


def _require(value: object, kind: type, field: str, go_type: str) -> dict[str, Any]:
    """Refuse a value that is neither null nor of a type; return it when it is an object."""
    if value is not None and not isinstance(value, kind):
        raise ApiError(400, f"json: cannot unmarshal {_kind(value)} into Go struct field {field} of type {go_type}")
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"


_EXPECTATIONS = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
}


def _decoder_text(error: json.JSONDecodeError) -> str:
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated"):
        return "unexpected EOF"
    expectation = _EXPECTATIONS.get(error.msg, "in literal")
    return f"invalid character '{error.doc[error.pos]}' {expectation}"
