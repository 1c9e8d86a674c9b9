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
    _check_messages(request.get("messages") or [], name)


def _check_messages(messages: list[Any], name: str) -> None:
    for message in messages:
        if not isinstance(message, dict):
            text = f"json: cannot unmarshal {_kind(message)} into Go struct field {name}.messages of type api.Message"
            raise ApiError(400, text)
        fields = ("role", "content") if name == "ChatRequest" else ("role",)
        for field in fields:
            _check_text(cast("dict[str, Any]", message).get(field), f"{name}.messages.{field}")


def _check_text(value: object, field: str) -> None:
    """Refuse a value that is neither text nor null."""
    if value is not None and not isinstance(value, str):
        raise ApiError(400, f"json: cannot unmarshal {_kind(value)} into Go struct field {field} of type string")


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
