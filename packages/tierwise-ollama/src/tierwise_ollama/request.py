"""A call in Ollama's form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from tierwise.attempt import Attempt
from tierwise.errors import ConfigError, InvalidRequestError, UnknownNameError
from tierwise.fleet.model import ModelSpec
from tierwise.schema import as_json_schema, check_schema

from tierwise_ollama.facts import ModelFacts, ServerFacts
from tierwise_ollama.messages import as_ollama

__all__ = ["KeepAlive", "chat_body", "check_keep_alive", "fixed_num_ctx", "schema_of"]

KeepAlive: TypeAlias = str | float | None
"""Seconds, or a duration such as `10m`; below zero keeps a model loaded, zero unloads it."""

_EFFORTS: dict[str, bool | str] = {
    "none": False,
    "off": False,
    "on": True,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}
_OWN_FIELDS = ("num_ctx", "keep_alive")
"""Keys of a model's `options` that are no sampling options of the request's."""


def schema_of(attempt: Attempt) -> dict[str, Any] | None:
    """The JSON schema of the answer; `None` if none is asked for.

    Raises:
        ConfigError: It is no valid schema. The server would answer such a one with unconstrained text and HTTP 200.
    """
    if attempt.task.output_schema is None:
        return None
    schema = as_json_schema(attempt.task.output_schema)
    check_schema(schema)
    return schema


def fixed_num_ctx(model: ModelSpec, default: int | None) -> int | None:
    """The context that the user chose for the model, in tokens; `None` if it is to be fitted."""
    return model.num_ctx or model.options.get("num_ctx") or default


def chat_body(
    attempt: Attempt,
    *,
    schema: dict[str, Any] | None,
    server: ServerFacts,
    facts: ModelFacts,
    keep_alive: KeepAlive = None,
) -> dict[str, Any]:
    """The body for `/api/chat`, but for `num_ctx`, which depends on its size.

    Raises:
        InvalidRequestError: The model has no tools or no eyes, and the task needs them.
        ConfigError: The model's reasoning effort is none that Ollama knows.
    """
    task, model = attempt.task, attempt.model
    if task.tools and facts.can("tools") is False:
        raise InvalidRequestError(f"{model.id} has no tools, by the server's word: nothing was sent")
    if task.has_images and facts.can("vision") is False:
        raise InvalidRequestError(f"{model.id} sees no images, by the server's word: nothing was sent")
    body: dict[str, Any] = {
        "model": model.name,
        "messages": as_ollama(task.messages),
        "stream": True,
        "truncate": False,
        "shift": False,
        "options": _options(attempt),
    }
    if task.tools:
        body["tools"] = [tool.as_dict() for tool in task.tools]
    if schema is not None:
        _constrain(body, schema, server)
    think = _think(model, server, facts)
    if think is not None:
        body["think"] = think
    if attempt.logprobs and server.gives_logprobs:
        body["logprobs"] = True
    keep_alive = model.options.get("keep_alive", keep_alive)
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    return body


def _options(attempt: Attempt) -> dict[str, Any]:
    model = attempt.model
    chosen = {
        "temperature": attempt.setting("temperature"),
        "top_p": model.top_p,
        "seed": attempt.setting("seed"),
        "num_predict": attempt.setting("max_output_tokens"),
    }
    own = {name: value for name, value in model.options.items() if name not in _OWN_FIELDS}
    return own | {name: value for name, value in chosen.items() if value is not None}


def _constrain(body: dict[str, Any], schema: Mapping[str, Any], server: ServerFacts) -> None:
    """Constrains the answer, unless there are tools: the server's grammar would then forbid every call.

    The schema is told in words there, as it is to a server that knows no schemas.
    """
    if not body.get("tools"):
        body["format"] = schema if server.constrains_schema else "json"
        if server.constrains_schema:
            return
    told = (
        f"The final answer is one JSON value, without a code fence, that fits this JSON schema:\n{json.dumps(schema)}"
    )
    messages: list[dict[str, Any]] = body["messages"]
    system = next((m for m in messages if m["role"] == "system"), None)
    if system is None:
        messages.insert(0, {"role": "system", "content": told})
    else:
        system["content"] = f"{system['content']}\n\n{told}"


def _think(model: ModelSpec, server: ServerFacts, facts: ModelFacts) -> bool | str | None:
    """What `think` should be; `None` sends none. Capable models think unless told not to."""
    effort = model.reasoning_effort
    if effort is not None and effort not in _EFFORTS:
        raise UnknownNameError("reasoning_effort", effort, _EFFORTS, where=model.id)
    if facts.can("thinking") is not True or not server.knows_think:
        return None
    wanted = False if effort is None else _EFFORTS[effort]
    if facts.think_values is not None and wanted not in facts.think_values:
        # A model without levels is asked to think; one that cannot be kept from thinking is left alone.
        return True if wanted and True in facts.think_values else None
    return bool(wanted) if isinstance(wanted, str) and not server.knows_think_levels else wanted


def check_keep_alive(value: Any) -> KeepAlive:
    """The value, if it can be one.

    Raises:
        ConfigError: It is neither seconds nor a duration.
    """
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""):
        return value
    raise ConfigError(
        f"keep_alive={value!r} must be seconds, or a duration such as '10m'; -1 keeps the model, 0 unloads it",
        setting="keep_alive",
        value=value,
    )
